#!/bin/bash
# The health check of each MongoDB member: exit code 0 while it reads or writes as a member of the replica set.
# Once after each start of the container it sets the member up with mongosh. Then it asks for the state over a socket:
# a start of mongosh takes a second of CPU time, and half a minute on a busy machine.
set -eu
set_up=${SET_UP_FILE:-/tmp/member-is-set-up}
port=${MONGO_PORT:-27017}

if [ ! -e "$set_up" ]; then
    # Docker would kill this script and leave mongosh: its own limit is shorter than that of compose.yaml.
    timeout --kill-after 5 100 mongosh --quiet --file "${0%/*}/mongo-member.js"
    touch "$set_up"
fi

# The command {hello: 1, $db: "admin"}, which needs no login, as an OP_MSG (MongoDB's manual, "MongoDB Wire Protocol").
ask() {
    exec 3<>"/dev/tcp/127.0.0.1/$port"
    # shellcheck disable=SC2016 # $db is the name of a field
    printf '\x34\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\x1f\0\0\0\x10hello\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0' >&3
    length=$(head -c 4 <&3 | od -An -v -tu4 | tr -d ' ')
    head -c $((length - 4)) <&3 | od -An -v -tx1 | tr -d ' \n'
}
export -f ask
export port
reply=$(timeout 10 bash -c ask)

# The fields of the reply that are true: the type of a boolean, the name, and a one.
primary=08$(printf 'isWritablePrimary' | od -An -v -tx1 | tr -d ' \n')0001
secondary=08$(printf 'secondary' | od -An -v -tx1 | tr -d ' \n')0001
case $reply in
*"$primary"* | *"$secondary"*) ;;
*)
    echo "the member neither reads nor writes" >&2
    exit 1
    ;;
esac
