#!/bin/bash
# build: asan
# The examples are good, and each mistake is named with file, line and key and ends with exit code 2.
set -u
here=$(cd "$(dirname "$0")/../.." && pwd)
failed=0

good() { # PROGRAM FILE
    "$BUILD_DIR/bin/$1" --check-config --config "$2" >"$TMPDIR/out" 2>&1 || { cat "$TMPDIR/out"; failed=1; }
}
bad() { # PROGRAM TEXT EXPECTED
    printf '%b' "$2" >"$TMPDIR/bad.conf"
    "$BUILD_DIR/bin/$1" --check-config --config "$TMPDIR/bad.conf" >"$TMPDIR/out" 2>&1
    local code=$? said
    said=$(sed "s#$TMPDIR/##g" "$TMPDIR/out")
    if [ $code -ne 2 ] || [ "$said" != "$1: $3" ]; then
        printf 'exit code %s\n  said:     %s\n  expected: %s\n' $code "$said" "$1: $3"
        failed=1
    fi
}

good sealift-director "$here/configs/director.conf"
good sealift-transporter "$here/configs/transporter-source.conf"
good sealift-transporter "$here/configs/transporter-target.conf"
good sealift-proxy "$here/configs/proxy.conf"

# Those of docs/networks.md; a password stands in a file of its own.
echo password >"$TMPDIR/socks.password"
chmod 600 "$TMPDIR/socks.password"
for example in "$here"/configs/examples/*/*.conf; do
    sed "s#/etc/sealift/#$TMPDIR/#" "$example" >"$TMPDIR/example.conf"
    case ${example##*/} in
    director.conf) good sealift-director "$TMPDIR/example.conf" ;;
    proxy.conf) good sealift-proxy "$TMPDIR/example.conf" ;;
    *) good sealift-transporter "$TMPDIR/example.conf" ;;
    esac
done

# A daemon that ends by itself, as for a full disk, is started again.
for program in sealift-director sealift-transporter sealift-proxy; do
    unit=$here/configs/$program.service
    for line in "ExecStart=/usr/local/bin/$program --config " "Type=notify" "Restart=on-failure" "LimitCORE=0"; do
        grep -q "^$line" "$unit" || { printf '%s lacks %s\n' "$unit" "$line"; failed=1; }
    done
done

t=sealift-transporter
state='state_dir = "/x";\n'
bad $t 'slots = 2;\n' "bad.conf: state_dir: missing"
bad $t "${state}slot = 2;\n" "bad.conf:2: slot: unknown setting"
bad $t "${state}slots = 0;\n" "bad.conf:2: slots: 0 is less than 1"
bad $t "${state}control = \"listen\";\n" "bad.conf:2: control: is said by 'director = { listen = \"tcp://ADDRESS:PORT\"; }'"
bad $t "${state}read = ( \"relative\" );\n" "bad.conf:2: read[0]: must be an absolute path without '.', '..' or a trailing '/'"
bad $t "${state}restore = ( \"/a/../b\" );\n" "bad.conf:2: restore[0]: must be an absolute path without '.', '..' or a trailing '/'"
bad $t "${state}data = { listen = \"9448\"; };\n" "bad.conf:2: data.listen: must be tcp://HOST:PORT, with a port from 0 to 65535"
bad $t "${state}heartbeat = \"50ms\";\n" "bad.conf:2: heartbeat: '50ms' is less than 100ms"
bad $t "${state}reconnect = { first = \"2s\"; most = \"1s\"; };\n" "bad.conf:2: reconnect.most: is less than 'first'"
bad $t "${state}data = { reverse = { listen = \"0.0.0.0:9450\"; }; };\n" "bad.conf:2: data.reverse.listen: is every address of this host: say by 'advertise' which HOST:PORT targets dial"
bad $t "${state}data = { reverse = { advertise = \"h:1\"; }; };\n" "bad.conf:2: data.reverse.listen: missing"
bad $t "${state}data = { reverse = { listen = \"127.0.0.1:1\"; advertise = \"tcp://h:1\"; }; };\n" "bad.conf:2: data.reverse.advertise: must be HOST:PORT, with a port from 1 to 65535"
bad $t "${state}data = { reverse = { listen = \"127.0.0.1:1\"; limits = { wait = \"9d\"; }; }; };\n" "bad.conf:2: data.reverse.limits.wait: '9d' is more than 1d"
bad $t "${state}data = { proxy = \"socks\"; };\n" "bad.conf:2: data.proxy: must be HOST:PORT, with a port from 1 to 65535"
kms='kms = ( { name = "eu"; '
bad $t "${state}${kms}uri = \"aws:///k?REGION=r&COLOUR=x\"; } );\n" "bad.conf:2: kms[0].uri: KMS 'eu': the aws://… URI: unknown parameter 'COLOUR'"
bad $t "${state}${kms}uri = \"file://$TMPDIR/none.key\"; } );\n" "bad.conf:2: kms[0].uri: KMS 'eu': cannot open 'none.key': No such file or directory"
bad $t "${state}${kms}uri = \"kmip://h/1?cert=/none&key=$TMPDIR/none.key&ca=/none\"; } );\n" "bad.conf:2: kms[0].uri: KMS 'eu': cannot read 'none.key': No such file or directory"
printf '%b' "${state}${kms}uri = \"aws:///alias/x?REGION=eu-west-1&AUTH=implicit\"; } );\n" >"$TMPDIR/good.conf"
good $t "$TMPDIR/good.conf"

p=sealift-proxy
listen='listen = ( "127.0.0.1:0" );\n'
bad $p 'rendezvous = true;\n' "bad.conf: listen: missing: (\"ADDRESS:PORT\")"
bad $p 'listen = ( "proxy.example:9449" );\n' "bad.conf:1: listen[0]: 'proxy.example:9449' is not an ADDRESS:PORT"
bad $p "${listen}allow = ( \"a:1\", \"10.0.0.1/8:1\" );\n" "bad.conf:2: allow[1]: '10.0.0.1/8' has bits set behind its prefix"
bad $p "${listen}allow = ( \"host:0\" );\n" "bad.conf:2: allow[0]: 'host:0' is not WHERE:PORT or WHERE:PORT-PORT"
bad $p "${listen}limits = { silence = \"1h\"; };\n" "bad.conf:2: limits.silence: '1h' is more than 10m"
bad $p "${listen}limits = { handshake = \"1h\"; };\n" "bad.conf:2: limits.handshake: '1h' is more than 1m"
echo secret >"$TMPDIR/password"
chmod 644 "$TMPDIR/password"
user="users = ( { name = \"web\"; password_file = \"$TMPDIR/password\"; } );\n"
bad $p "$listen$user" "bad.conf:2: users[0].password_file: 'password' may be read by others than its owner: chmod 600 it"
chmod 600 "$TMPDIR/password"
printf '%b' "$listen$user" >"$TMPDIR/good.conf"
good $p "$TMPDIR/good.conf"
exit $failed
