// Sets a MongoDB member up, until it is in the replica set, reads or writes, and the administrator can log in. The first
// member initiates the set and creates the administrator, which a client on the member itself may do while there is no
// user. Each other one asks the primary to add it. mongo-health.sh runs this once; an interrupted run can be repeated.
const password = require("fs").readFileSync("/admin/password", "utf8").trim();
const SET = `mongodb://admin:${password}@mongo,mongo2,mongo3/?replicaSet=rs0&serverSelectionTimeoutMS=5000`;
const PAUSE_MS = 500;
const member = process.env.MEMBER;
const admin = db.getSiblingDB("admin");

function logsIn() {
  try {
    return admin.auth("admin", password).ok === 1;
  } catch (error) {
    return false;
  }
}

function join() {
  const primary = new Mongo(SET).getDB("admin");
  const { config } = primary.runCommand({ replSetGetConfig: 1 });
  if (!config.members.some((known) => known.host === member)) {
    config.version += 1;
    config.members.push({ _id: Math.max(...config.members.map((known) => known._id)) + 1, host: member });
    primary.runCommand({ replSetReconfig: config });
  }
}

function setUp() {
  const state = admin.hello();
  if ((state.isWritablePrimary || state.secondary) && logsIn()) {
    return true;
  }
  if (state.isWritablePrimary) {
    admin.createUser({ user: "admin", pwd: password, roles: ["root"] });
  } else if (!state.setName && process.env.FIRST) {
    rs.initiate({ _id: "rs0", members: [{ _id: 0, host: member }] });
  } else if (!state.setName) {
    join();
  }
  return false;
}

for (;;) {
  try {
    if (setUp()) {
      quit(0);
    }
  } catch (error) {
    print(error.message); // such as: another member joins at the moment
  }
  sleep(PAUSE_MS);
}
