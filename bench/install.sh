#!/bin/sh
# Installs what mqttward is measured beside: Debian's haproxy, nginx with its
# module for streams, stunnel and mosquitto. It does nothing where they are
# there already, and is content with less: what is missing is not measured.
set -eu

# shellcheck source=tools/apt.sh
. "$(dirname "$0")/../tools/apt.sh"

packages='haproxy nginx-light libnginx-mod-stream stunnel4 mosquitto'

# Debian puts servers where only root looks.
PATH=$PATH:/usr/sbin:/usr/local/sbin

present() {
	for command in haproxy nginx stunnel4 mosquitto; do
		command -v "$command" >/dev/null || return 1
	done
	# Or nginx was built with it, by somebody else than Debian.
	[ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || nginx -V 2>&1 | grep -q -- '--with-stream '
}

present && exit
# $packages is several words.
# shellcheck disable=SC2086
apt_install $packages || echo "Some of these are missing and will not be measured: $packages." >&2
