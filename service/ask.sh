#!/bin/sh
# Ask Quoteline a question: sh ask.sh Did Iran deny sending drones?
# The server's address can be set in QUOTELINE_SERVER, a key in QUOTELINE_KEY. Needs only curl.
# On a terminal the words that answer are bold, unless NO_COLOR is set.
# Exit status: 0 answered, 1 nothing answers, 2 wrong use, 3 no answer from the server.
set -u

server=${QUOTELINE_SERVER:-http://127.0.0.1:8000}
color=never
[ -t 1 ] && [ -z "${NO_COLOR:-}" ] && color=always

if [ $# -eq 0 ]; then
    echo "usage: ask QUESTION" >&2
    exit 2
fi

# A key goes through a pipe: other users of this machine can read arguments.
answer=$(printf '%s' "${QUOTELINE_KEY:+header = \"Authorization: Bearer $QUOTELINE_KEY\"}" |
    curl --silent --show-error --config - --get --header 'Accept: text/plain' --write-out '\n%{http_code}' \
        --data-urlencode "q=$*" --data "color=$color" "$server/ask") || {
    echo "ask: no answer from $server; is \`quoteline serve\` running there?" >&2
    exit 3
}
status=${answer##*
}
answer=${answer%
*}
if [ "$status" != 200 ]; then
    printf 'ask: %s\n' "$answer" >&2
    exit 3
fi
printf '%s' "$answer"
case $answer in
"Nothing here answers that"* | "There are no articles yet"* | "The filters leave no article"*) exit 1 ;;
esac
