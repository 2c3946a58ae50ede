#!/bin/sh
# Ask Quoteline from a shell. Needs only curl; `sh ask.sh --help` says the rest.
set -u

server=${QUOTELINE_SERVER:-http://127.0.0.1:8000}
folder=${XDG_STATE_HOME:-${HOME:-}/.local/state}/quoteline
conversation=$folder/conversation
# As many earlier questions as the server takes.
most=10

help() {
    cat <<END
usage: ask [OPTION]... [QUESTION]...
       ask [OPTION]... < QUESTION

Ask Quoteline a question; get the sentences that answer it, word for word.
Options stand before the question; -- ends them. Without a question, or with -
in its place, it is read from standard input.

  -c, --continue         it follows up the questions asked before (Who is he?)
  -n, --top-k N          the most sentences to show
      --source NAME      only from this source (may be repeated)
      --collection NAME  only from this collection (may be repeated)
      --since DATE       only of this day or later, such as 2022-10-01
      --until DATE       only of this day or earlier
      --as-of DATE       as the articles stood at the end of that day
      --no-compare       do not say where sources agree, and where not
      --json             the answer as JSON
      --server URL       the server, now $server
  -h, --help             this

Environment:
  QUOTELINE_SERVER  the server, where --server does not say
  QUOTELINE_KEY     a key, where the server wants one
  NO_COLOR          if set, nothing is bold on a terminal

Exit status:
  0  something answers, or perhaps does
  1  nothing answers
  2  wrong use
  3  no answer from the server: it cannot be reached, or refuses; the message
     says why

For -c the last questions are kept in
$conversation
END
}

wrong() {
    printf 'ask: %s; see ask --help\n' "$1" >&2
    exit 2
}

failed() {
    printf 'ask: %s\n' "$1" >&2
    exit 3
}

# What curl is told gathers behind the arguments that are still to be read; `gathered` counts it.
gathered=0
following=
accept=text/plain
while [ $# -gt $gathered ]; do
    case $1 in
    -n | --top-k | --source | --collection | --since | --until | --as-of | --server)
        [ $# -gt $((gathered + 1)) ] || wrong "$1 takes a value"
        case $1 in
        -n | --top-k) name=top_k ;;
        --source) name=source ;;
        --collection) name=collection ;;
        --since) name=date_from ;;
        --until) name=date_to ;;
        --as-of) name=as_of ;;
        --server) name='' server=$2 ;;
        esac
        if [ -n "$name" ]; then
            set -- "$@" --data-urlencode "$name=$2"
            gathered=$((gathered + 2))
        fi
        shift 2
        ;;
    -c | --continue) following=yes && shift ;;
    --no-compare) set -- "$@" --data compare=false && gathered=$((gathered + 2)) && shift ;;
    --json) accept=application/json && shift ;;
    -h | --help) help && exit 0 ;;
    --) shift && break ;;
    -) break ;;
    -*) wrong "there is no option $1" ;;
    *) break ;;
    esac
done
server=${server%/}

question=
while [ $# -gt $gathered ]; do
    question="$question${question:+ }$1"
    shift
done
if [ -z "$question" ] || [ "$question" = - ]; then
    [ ! -t 0 ] || wrong 'there is no question'
    question=$(cat)
fi
# One line, as it is kept for the next question.
question=$(printf '%s' "$question" | tr '\n\r\t' '   ')
case $question in
*[!\ ]*) ;;
*) wrong 'the question is empty' ;;
esac

# The first line names the server: what was asked there is no business of another.
earlier=
if [ -n "$following" ]; then
    if [ -r "$conversation" ] && [ "$(head -n 1 "$conversation")" = "$server" ]; then
        earlier=$(tail -n +2 "$conversation" | tail -n "$most")
    else
        printf 'ask: nothing was asked of %s before, so nothing is followed up\n' "$server" >&2
    fi
fi
if [ -n "$earlier" ]; then
    while IFS= read -r line; do
        set -- "$@" --data-urlencode "turn=$line"
    done <<END
$earlier
END
fi

color=never
[ -t 1 ] && [ -z "${NO_COLOR:-}" ] && color=always

# A key goes through a pipe: other users of this machine can read arguments. Nothing in it may end its line there.
case ${QUOTELINE_KEY:-} in
*[!A-Za-z0-9_-]*) wrong 'QUOTELINE_KEY is no key of Quoteline, ql_…' ;;
esac
heads=$(mktemp) || failed 'no temporary file can be made; is there room in /tmp?'
trap 'rm -f "$heads"' EXIT
trap 'exit 130' HUP INT TERM
answer=$(printf '%s' "${QUOTELINE_KEY:+header = \"Authorization: Bearer $QUOTELINE_KEY\"}" |
    curl --silent --show-error --globoff --config - --get --dump-header "$heads" --connect-timeout 10 \
        --header "Accept: $accept" --write-out '\n%{http_code}' \
        --data-urlencode "q=$question" --data "color=$color" "$@" "$server/ask") ||
    failed "no answer from $server; is \`quoteline serve\` running there?"
status=${answer##*
}
answer=${answer%
*}
if [ "$status" != 200 ]; then
    # Of a problem document what happened and what to do; what else it is, is not Quoteline's, and may be long.
    failed "$(printf '%.500s' "$answer" | sed 's/.*"detail":"//; s/","errors":.*//')"
fi
printf '%s\n' "${answer%
}"

# Kept after each answer, so that the next question can follow it up; where it cannot be kept, it is not.
if [ -n "${XDG_STATE_HOME:-}${HOME:-}" ]; then
    (
        umask 077
        mkdir -p "$folder" &&
            {
                printf '%s\n' "$server"
                printf '%s\n' "$earlier${earlier:+
}$question" | tail -n "$most"
            } >"$conversation.$$" && mv -f "$conversation.$$" "$conversation"
    ) 2>/dev/null
fi

case $(tr -d '\r' <"$heads" | tr '[:upper:]' '[:lower:]') in
*"quoteline-verdict: unanswered"*) exit 1 ;;
*"quoteline-verdict: "*) exit 0 ;;
esac
failed "$server answers, but not as Quoteline does; is --server right?"
