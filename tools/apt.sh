# Installs packages of Debian. For scripts of sh to read in with a dot.
# shellcheck shell=sh

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# Mirrors fail now and then.
retry() {
	for pause in 2 5 10; do
		"$@" && return
		echo "failed, again in $pause s: $*" >&2
		sleep "$pause"
	done
	"$@"
}

# apt_install PACKAGE... installs all of them, or says on the standard error why
# it cannot and fails.
apt_install() {
	if ! command -v apt-get >/dev/null; then
		echo 'There is no apt-get here to install packages with.' >&2
		return 1
	fi
	if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
		echo 'Installing packages takes root or sudo.' >&2
		return 1
	fi
	if ! retry as_root apt-get update -q; then
		echo 'apt-get update failed.' >&2
		return 1
	fi
	if ! retry as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"; then
		echo 'apt-get install failed.' >&2
		return 1
	fi
}
