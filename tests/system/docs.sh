#!/bin/bash
# build: asan
# What the documents say of the source is true: the list of files, the tests behind the security claims.
set -u
cd "$(dirname "$0")/../.." || exit 1
failed=0
tests/source-list --check || failed=1
# `suite/test` and `suite/*` in the table of claims must exist
while read -r name; do
    suite=${name%%/*}
    test=${name#*/}
    case $name in
    tests/*) [ -e "$name" ] || { echo "docs/security.md names $name, which is not there"; failed=1; } ;;
    *'/*') grep -rqs "^Test($suite, " tests/unit || { echo "docs/security.md: there is no suite $suite"; failed=1; } ;;
    *) grep -rqs "^Test($suite, $test\b" tests/unit || { echo "docs/security.md: there is no test $suite/$test"; failed=1; } ;;
    esac
done < <(sed -n '/^## Claims/,/^## What still/p' docs/security.md | grep -oE '`[^`]*/[^`]*`' | tr -d '`' | grep -v '^common/')
exit $failed
