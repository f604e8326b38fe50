#!/bin/sh
# The data server of this pod (ME): primary, or replica of the primary.
set -eu
primary=$(sh "${SCRIPTS}/primary.sh")
cat > "${TEMP}/server.conf" <<END
port ${PORT:-6379}
bind ${BIND:-*}
dir ${DATA}
appendonly yes
appendfsync always
maxmemory ${MAXMEMORY:-384mb}
maxmemory-policy noeviction
min-replicas-to-write 1
min-replicas-max-lag 10
requirepass ${VALKEY_PASSWORD}
masterauth ${VALKEY_PASSWORD}
replica-announce-ip ${ME}
END
if [ "${primary}" != "${ME}" ]; then
  echo "replicaof ${primary} ${PORT:-6379}" >> "${TEMP}/server.conf"
fi
exec valkey-server "${TEMP}/server.conf"
