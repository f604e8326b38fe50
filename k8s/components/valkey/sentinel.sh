#!/bin/sh
# The Sentinel of this pod (ME). It keeps what it learns in its own file, beside the data.
set -eu
if [ ! -f "${DATA}/sentinel.conf" ]; then
  primary=$(sh "${SCRIPTS}/primary.sh")
  cat > "${DATA}/sentinel.new" <<END
port ${SENTINEL_PORT:-26379}
bind ${BIND:-*}
protected-mode no
dir ${DATA}
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip "${ME}"
sentinel monitor primary ${primary} ${PORT:-6379} 2
sentinel auth-pass primary ${VALKEY_PASSWORD}
sentinel down-after-milliseconds primary 3000
sentinel failover-timeout primary 15000
sentinel parallel-syncs primary 1
END
  mv "${DATA}/sentinel.new" "${DATA}/sentinel.conf"
fi
exec valkey-server "${DATA}/sentinel.conf" --sentinel
