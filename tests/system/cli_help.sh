#!/bin/bash
# The command line without a site: help, what it refuses, exit codes, JSON errors.
# build: asan release
# timeout: 120
set -u
cli=$BUILD_DIR/bin/sealift
state=$TMPDIR/state
failures=0

fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# expect CODE ARGUMENTS...: the exit code; the answer is in $TMPDIR/out, the rest in $TMPDIR/err
expect() {
    local wanted=$1
    shift
    "$cli" --state "$state" "$@" </dev/null >"$TMPDIR/out" 2>"$TMPDIR/err"
    local code=$?
    [ $code -eq "$wanted" ] || fail "'$*' ended with $code instead of $wanted: $(head -c 300 "$TMPDIR/err")"
}
says() { grep -qF -- "$1" "$TMPDIR/err" || fail "expected '$1', got: $(cat "$TMPDIR/err")"; }
answers() { grep -qF -- "$1" "$TMPDIR/out" || fail "expected '$1' in: $(head -c 500 "$TMPDIR/out")"; }
# the one JSON line on stderr: member
error_member() {
    python3 -c 'import json,sys; print(json.loads(sys.stdin.read().strip().splitlines()[-1])["error"][sys.argv[1]])' \
        "$1" <"$TMPDIR/err"
}

# --- help ---

expect 0 --version
answers "sealift "
expect 0 --help
overview=$(sed -n '/^$/,/^Not there yet/p' "$TMPDIR/out" | sed -n 's/^  \([a-z][a-z]*\( [a-z]*\)\?\)  .*/\1/p')
[ "$(echo "$overview" | wc -l)" -ge 30 ] || fail "the overview lists too little: $overview"
[ "$(LC_ALL=C.UTF-8 wc -L <"$TMPDIR/out")" -le 80 ] || fail "the overview has lines of more than 80 columns"
# what stands there of each command is a whole sentence
cut=$(sed "/^Not there yet/,\$d" "$TMPDIR/out" |
    awk '/^  [a-z]/ && last != "" && last !~ /\.$/ { print last } /^  / { last = $0 }')
[ -z "$cut" ] || fail "the overview cuts a sentence: $cut"
absent=$(sed -n '/^Not there yet/,$p' "$TMPDIR/out" | sed -n 's/^  //p')

asks=
waits=
while read -r noun verb; do
    expect 0 "$noun" ${verb:+"$verb"} --help
    grep -q '^  --yes ' "$TMPDIR/out" && asks="$asks$noun $verb;"
    grep -q '^  --wait ' "$TMPDIR/out" && waits="$waits${noun}${verb:+ $verb};"
    answers "usage: sealift $noun${verb:+ $verb}"
    answers "example:"
    answers "$ sealift $noun${verb:+ $verb}"
    LC_ALL=C.UTF-8 awk '/^(options|  --|example)/ && length > 80 { exit 1 }' "$TMPDIR/out" ||
        fail "the options of '$noun $verb' have lines of more than 80 columns"
    grep -A1 '^options:' "$TMPDIR/out" | grep -qx '' && fail "'$noun $verb' has a heading without options"
    expect 2 "$noun" ${verb:+"$verb"} --no-such-option
    says "there is no option '--no-such-option'"
done <<<"$overview"

# what asks and what waits, as the page says it
# said OPTION: the commands that docs/cli.md names for it, in this form
said() {
    grep -F -- "- **\`$1\`**" "$(dirname "$0")/../../docs/cli.md" |
        grep -oE '`[a-z]+( [a-z-]+)?`' | tr -d '`' | grep -vx -- "$1" | sort | tr '\n' ';'
}
sorted() { tr ';' '\n' <<<"$1" | sed '/^$/d' | sort | tr '\n' ';'; }
[ "$(said --yes)" = "$(sorted "$asks")" ] || fail "docs/cli.md says that these ask: $(said --yes), --help: $(sorted "$asks")"
[ "$(said --wait)" = "$(sorted "$waits")" ] || fail "docs/cli.md says that these wait: $(said --wait), --help: $(sorted "$waits")"

while read -r noun verb; do
    expect 2 "$noun" ${verb:+"$verb"}
    says "'sealift $noun${verb:+ $verb}' is not there yet in this version"
done <<<"$absent"

expect 0 job --help
answers "job create"
grep -q transporter "$TMPDIR/out" && fail "the verbs of another noun are listed"

expect 0 offline --help
grep -q 'Not there yet' "$TMPDIR/out" && fail "a heading without anything below it"

# --- what is refused, and how ---

expect 2
expect 2 jbo
says "did you mean 'job'"
expect 2 job rum
says "did you mean 'run'"
expect 2 job create --reposiotry x
says "did you mean '--repository'"
expect 2 job
expect 2 job run
says "sealift job run NAME"
expect 2 job list extra
says "takes no 'extra'"
expect 2 job create web --exact
says "the option '--exact' is not there yet"
expect 2 link set a b
says "--connection direct, reverse or rendezvous is needed"
expect 2 link set a b --connection pull
says "a connection is 'direct', 'reverse' or 'rendezvous', not 'pull'"
expect 2 link set a b --connection reverse --proxy p:1
says "a reverse connection takes no proxy"
expect 2 link set a b --connection rendezvous
says "a rendezvous needs a proxy"
expect 2 link set a b --connection rendezvous --proxy p
says "'p' has no port"
expect 2 link test a b --proxy p
says "'p' has no port"
expect 2 job edit web
says "say what is to be another"
expect 2 key create main --description x --generate --password
says "one of --password, --from-file, --generate, --own"
expect 2 key create main --generate
says "--description"
expect 2 key create 'bad name' --description x --generate
says "'bad name' is no name"
expect 2 transporter approve web1
says "--zone"
expect 2 transporter approve web1 --zone friendly
says "'friendly'"
expect 2 transporter revoke web1 --since yesterday
says "'yesterday' is no time"
expect 2 repository create r --on t --path relative
says "absolute path"
expect 2 operator init
says "--director"
expect 2 operator init --director nonsense
says "the director's key has 64 hex digits"
expect 2 operator join --site nonsense
says "a site line begins with"
expect 2 point show 'x!'
says "is no point"

# --- without a site ---

for words in "status" "operator list" "operator site" "transporter list" "key list" "job list" "point list"; do
    # shellcheck disable=SC2086
    expect 4 $words
    says "sealift operator init"
done
[ "$(stat -c %a "$state")" = 700 ] || fail "the state directory has mode $(stat -c %a "$state")"

# --- JSON ---

expect 4 --json job list
[ ! -s "$TMPDIR/out" ] || fail "an error wrote to stdout"
[ "$(error_member code)" = 4 ] || fail "the code in JSON is $(error_member code)"
[ "$(error_member name)" = not_found ] || fail "the name in JSON is $(error_member name)"
expect 2 job list --json --no-such
[ "$(error_member name)" = usage ] || fail "a wrong option is not answered in JSON"

# --- an identity of one's own ---

expect 20 operator identity --name anna --out "$TMPDIR/anna.identity"
says "--no-password does without"
expect 0 operator identity --name anna --no-password --out "$TMPDIR/anna.identity"
[ "$(stat -c %a "$state/identity")" = 600 ] || fail "the identity has mode $(stat -c %a "$state/identity")"
grep -q '^sealift-operator1:' "$TMPDIR/anna.identity" || fail "the public identity is not a line of text"
expect 3 operator identity --name ben --out "$TMPDIR/other"
says "that of 'anna'"
expect 3 operator identity --out "$TMPDIR/anna.identity"
says "exists"

printf 'too short\n' >"$TMPDIR/password"
other=$TMPDIR/other-state
"$cli" --state "$other" operator identity --name ben --identity-password-file "$TMPDIR/password" \
    --out "$TMPDIR/ben.identity" 2>"$TMPDIR/err" && fail "a short password was taken"
says "--weak takes it all the same"
"$cli" --state "$other" operator identity --name ben --weak --identity-password-fd 7 --out "$TMPDIR/ben.identity" \
    7<"$TMPDIR/password" >/dev/null 2>"$TMPDIR/err" || fail "a password from a descriptor: $(cat "$TMPDIR/err")"

# nobody is there: the answer comes in time and says what to look at
key=$(printf '%064d' 1)
printf 'code\n' >"$TMPDIR/code"
"$cli" --state "$state" operator init --director "$key@127.0.0.1:1" --claim-code-file "$TMPDIR/code" \
    2>"$TMPDIR/err"
[ $? -eq 7 ] || fail "an unreachable director: $(cat "$TMPDIR/err")"
says "is it running"

# a full disk is not silence
"$cli" --help >/dev/full 2>"$TMPDIR/err"
[ $? -eq 3 ] || fail "an answer that cannot be written: $(cat "$TMPDIR/err")"

[ $failures -eq 0 ] || exit 1
echo "all as it should be"
