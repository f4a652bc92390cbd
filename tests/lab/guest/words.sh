# SPDX-License-Identifier: Apache-2.0
#
# words.sh - what stories of guests use beside the words of tests/lab/play:  . "$TOP/tests/lab/guest/words.sh"
#
# A guest's script comes on stdin and has the words of inside/told. Its steps are counted as the story's; $share is a
# folder that all guests of a story see as /share. What a guest's console said is kept in build/guest/failed on failure.
# shellcheck shell=bash disable=SC2154

share=$PWD/share
guests=0
mkdir -p "$share"

guest_told() { # [OPTION...] < SCRIPT: runs it; guest_rc, guest-N.out
    guests=$((guests + 1))
    guest_rc=0
    "$TOP/tests/lab/guest/run" --share "$share" --log "guest-$guests.console" "$@" - >"guest-$guests.out" 2>&1 || guest_rc=$?
    sed -e "s,^ok ,ok $story: ," -e "s,^skip ,skip $story/," -e 's,^not ok ,failed in the guest: ,' "guest-$guests.out"
    [ $guest_rc != 77 ] || skip "$(tail -n 1 "guest-$guests.out")"
    passed=$((passed + $(grep -c '^ok ' "guest-$guests.out" || :)))
    skipped=$((skipped + $(grep -c '^skip ' "guest-$guests.out" || :)))
}
guest_kept() {
    local kept=${GUEST_CACHE:-$BUILD/guest}/failed
    mkdir -p "$kept"
    cp "guest-$guests.console" "$kept/$story-$guests.console"
    echo "the guest ended with $guest_rc; its console is in $kept/$story-$guests.console"
    return 1
}
guest() { # [OPTION...] < SCRIPT: it must succeed
    guest_told "$@"
    [ $guest_rc = 0 ] || guest_kept
}
guest_cut() { # [OPTION...] < SCRIPT: it must end in a power cut
    guest_told "$@"
    [ $guest_rc = 137 ] || guest_kept
}
