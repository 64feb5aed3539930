// The health check of each MongoDB member: exit code 0 once it is in the replica set, reads or writes, and the
// administrator can log in. The first member initiates the set and creates the administrator, which a client on the
// member itself may do while there is no user. Each other one asks the primary to add it, until it has been added.
const password = require("fs").readFileSync("/admin/password", "utf8").trim();
const SET = `mongodb://admin:${password}@mongo,mongo2,mongo3/?replicaSet=rs0&serverSelectionTimeoutMS=5000`;
const member = process.env.MEMBER;
const admin = db.getSiblingDB("admin");
const state = db.hello();

function logsIn() {
  try {
    return admin.auth("admin", password).ok === 1;
  } catch (error) {
    return false;
  }
}

if ((state.isWritablePrimary || state.secondary) && logsIn()) {
  quit(0);
}
if (state.isWritablePrimary) {
  admin.createUser({ user: "admin", pwd: password, roles: ["root"] });
}
if (!state.setName) {
  if (process.env.FIRST) {
    rs.initiate({ _id: "rs0", members: [{ _id: 0, host: member }] });
  } else {
    const primary = new Mongo(SET).getDB("admin");
    const { config } = primary.runCommand({ replSetGetConfig: 1 });
    if (!config.members.some((known) => known.host === member)) {
      config.version += 1;
      config.members.push({ _id: Math.max(...config.members.map((known) => known._id)) + 1, host: member });
      primary.runCommand({ replSetReconfig: config });
    }
  }
}
quit(1);
