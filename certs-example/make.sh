#!/bin/sh
# Makes the files of this folder anew, by the commands of joining: a network of class test with a hub and the invented State XA.
# Private keys are thrown away. Usage: certs-example/make.sh PROGRAMS, the folder of ncpctl and ncp-relay.
set -eu
umask 077
here=$(cd "$(dirname "$0")" && pwd)
PATH=$(cd "$1" && pwd):$PATH
work=$(mktemp -d)
relay=
trap 'test -z "$relay" || kill "$relay"; rm -rf "$work"' EXIT
field() { awk -F'\t' -v name="$1" '$1 == name { print $2 }'; }

cd "$work"
network=$(ncpctl hub init --dir hub --class test --listen 127.0.0.1:0 --plain | field network)
ncp-relay --config hub/relay.toml 2> relay.log &
relay=$!
until ncpctl health --node hub/api.sock > /dev/null 2>&1; do
    kill -0 "$relay" || { cat relay.log >&2; exit 1; }
    sleep 1
done
fingerprint=$(ncpctl keys init --participant XA --dir xa --network "$network" --plain | field fingerprint)
ncpctl --quiet hub admit XA-request.json --dir hub --fingerprint "$fingerprint" > /dev/null
ncpctl --quiet keys install XA-answer.json --dir xa > /dev/null

umask 022
cat hub/data/network/root-1 > "$here/root-1"
cat hub/data/network/ca.crt > "$here/authority.crt"
cat hub/data/network/tls.crt > "$here/hub.crt"
cat xa/network/tls.crt > "$here/xa.crt"
