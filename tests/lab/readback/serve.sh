#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A recovery point over NBD: real clients read it, write to it through the cow filter, and it ends cleanly.
. "$(dirname "$0")/lib.sh"
need nbdkit nbdcopy nbdinfo qemu-img qemu-io sfdisk mke2fs
make_disks || skip "cannot make test disks here"
cd "$LAB" || exit 1
export PASSPHRASE_FILE=$LAB/pass
echo "correct horse" >"$PASSPHRASE_FILE"
check "back up" "$MAKE" "$LAB/repo" srv "$LAB/mbr.img" "$LAB/plain.img"
p() { nbdkit -U - "$PLUGIN" "$LAB/repo" passphrase-file="$LAB/pass" "$@"; }

check "nbdcopy reads the same" p disk=1 --run "nbdcopy \"\$uri\" $LAB/copy.img && cmp $LAB/copy.img $LAB/plain.img"
check "four connections read the same" p disk=0 --run "nbdcopy --connections=4 --threads=4 \"\$uri\" - | cmp - $LAB/mbr.img"
check "small odd requests read the same" p disk=1 --run "nbdcopy --request-size=4096 \"\$uri\" - | cmp - $LAB/plain.img"
check "qemu-img compare" p disk=1 --run "qemu-img compare -f raw -F raw \"\$uri\" $LAB/plain.img"
check "holes are told" p disk=0 --run 'nbdinfo --map --totals "$uri" | grep -q hole,zero'
check "it is read-only and takes many connections" p disk=0 --run \
    'nbdinfo --is read-only "$uri" && nbdinfo --can multi-conn "$uri"'
check "an unknown parameter is named" fails_with 1 p dick=0
check "a disk that is not there is an error" fails_with 1 p -f disk=9

sock="$LAB/s ock"
check "serve on a unix socket" start "$LAB/serve" "$TOOL" serve "$LAB/repo" latest 1 "$sock" "$PLUGIN" writable
uri=${READY#ready } server=$STARTED
check "it answers at the address it tells" nbdinfo --size "$uri"
check "a second server is refused" fails_with 8 "$TOOL" serve "$LAB/repo" latest 1 "$sock" "$PLUGIN"
check "no secret in a command line" sh -c "! grep -l -a 'correct[ ]horse' /proc/[0-9]*/cmdline"
check "what is written is read" qemu-io -f raw -c "write -P 0x5a 64k 64k" -c "read -P 0x5a 64k 64k" "$uri"
check "all else is as before" sh -c "nbdcopy '$uri' - | cmp - plain.img | grep -q 'byte 65537'"
kill "$server"
check "it ends without an error" wait "$server"
check "its socket is gone" [ ! -e "$sock" ]
# A client that goes away in the handshake (a port scan, our own readiness probe) is not worth an alarm.
check "its log is clean" sh -c "! grep -v 'sending newstyle handshake: Broken pipe' serve.err | grep ."

check "serve again: nothing written is left" start "$LAB/serve" "$TOOL" serve "$LAB/repo" latest 1 "$sock" "$PLUGIN" writable
check "... the same disk" sh -c "nbdcopy '${READY#ready }' - | cmp - plain.img"
kill -9 "$STARTED"
wait "$STARTED" 2>/dev/null
check "a socket left by kill -9 is replaced" start "$LAB/serve" "$TOOL" serve "$LAB/repo" latest 0 "$sock" "$PLUGIN"
check "... and serves" sh -c "nbdcopy '${READY#ready }' - | cmp - mbr.img"
kill "$STARTED"
wait "$STARTED"
check "TCP on loopback" start "$LAB/serve" "$TOOL" serve "$LAB/repo" latest 1 127.0.0.1:0 "$PLUGIN"
check "... serves" sh -c "nbdcopy '${READY#ready }' - | cmp - plain.img"
kill "$STARTED"
wait "$STARTED"
check "TCP to the world without TLS is refused" fails_with 2 "$TOOL" serve "$LAB/repo" latest 1 0.0.0.0:0 "$PLUGIN"
check "a wrong point is told" fails_with 2 "$TOOL" serve "$LAB/repo" ffff 1 "$sock" "$PLUGIN"

if command -v certtool >/dev/null; then
    mkdir pki && cd pki || exit 1
    printf 'cn=Test\nca\ncert_signing_key\n' >ca.info
    printf 'organization=Test\ncn=localhost\ntls_www_server\nencryption_key\nsigning_key\ndns_name=localhost\n' >server.info
    printf 'cn=client\ntls_www_client\nencryption_key\nsigning_key\n' >client.info
    {
        certtool --generate-privkey --outfile ca-key.pem
        certtool --generate-self-signed --load-privkey ca-key.pem --template ca.info --outfile ca-cert.pem
        for c in server client; do
            certtool --generate-privkey --outfile $c-key.pem
            certtool --generate-certificate --load-ca-certificate ca-cert.pem --load-ca-privkey ca-key.pem \
                --load-privkey $c-key.pem --template $c.info --outfile $c-cert.pem
        done
    } >/dev/null 2>&1
    cd "$LAB" || exit 1
    export TLS_DIR=$LAB/pki
    check "TLS" start "$LAB/serve" "$TOOL" serve "$LAB/repo" latest 1 localhost:0 "$PLUGIN"
    uri=${READY#ready }
    port=${uri##*:} port=${port%/}
    check "... a client with a certificate reads" sh -c \
        "nbdcopy 'nbds://localhost:$port/?tls-certificates=$LAB/pki' - | cmp - plain.img"
    check "... a client without TLS does not" fails_with 1 nbdinfo "nbd://localhost:$port/"
    kill "$STARTED"
    wait "$STARTED"
fi
summary
