#!/bin/sh
# The unit as installed: systemd reads it without a word, and scores its sandbox 1.5 or better.
set -u
cd "$(dirname "$0")/.." || exit

passed=0 failed=0
# check NAME COMMAND...: COMMAND must succeed; its output is shown where it does not.
check() {
    name=$1
    shift
    if output=$("$@" 2>&1); then
        passed=$((passed + 1)) && echo "ok      $name"
    else
        failed=$((failed + 1)) && printf 'FAILED  %s\n%s\n' "$name" "$output"
    fi
}

# systemd wants every program that a unit names to be there, so it sees one that is.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
sed 's,/usr/bin/portillon,/bin/true,' systemd/portillon.service >"$folder/portillon.service"
cp systemd/portillon.socket "$folder/"

# silent COMMAND...: succeeds where COMMAND does and says nothing about our units.
silent() {
    said=$("$@" 2>&1) && ! printf '%s\n' "$said" | grep 'portillon\.'
}

check "the sandbox scores 1.5 or better" systemd-analyze security --offline=true --threshold=15 "$folder/portillon.service"
check "the service is well-formed" silent systemd-analyze verify --man=no "$folder/portillon.service"
check "the socket is well-formed" silent systemd-analyze verify --man=no "$folder/portillon.socket"
if command -v systemd-sysusers >/dev/null; then
    check "the account is well-formed" silent systemd-sysusers --root="$folder" --dry-run "$PWD/systemd/portillon.sysusers"
fi

printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
