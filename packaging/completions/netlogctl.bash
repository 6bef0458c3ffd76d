# SPDX-License-Identifier: BSD-3-Clause
# Bash completion for netlogctl. Installed as /usr/share/bash-completion/completions/netlogctl.

_netlogctl_words() {
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

_netlogctl_files() {
	compopt -o filenames
	mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}

# Completes the value of an option. Fails if the option is unknown or takes no value.
_netlogctl_value() {
	case $1 in
	--class) _netlogctl_words "virtual subnet exit physical" ;;
	--by) _netlogctl_words "connection node peer pair client service port class" ;;
	--how) _netlogctl_words "opened closed half-closed reset refused half-open unanswered dropped" ;;
	--sort)
		case " ${COMP_WORDS[*]} " in
		*" peers "*) _netlogctl_words "active name seen handshake rate today" ;;
		*) _netlogctl_words "bytes packets begun refused dropped" ;;
		esac
		;;
	--since | --until) _netlogctl_words "10m 1h 1d today yesterday now" ;;
	--tun-source) _netlogctl_words "auto ebpf packet stats none" ;;
	--sock-source) _netlogctl_words "auto wireguard tailscale stats none" ;;
	--tun-interface | --sock-interface) _netlogctl_words "$(cd /sys/class/net 2>/dev/null && echo *)" ;;
	--socket | --config | --file | --output | --spool | --log-id-file | --domain-log-id-file | \
		--tun-stats-socket | --sock-stats-socket) _netlogctl_files ;;
	--deadline | --limit | --count | --local-addr | --route | --subnet-route | --addr | --node) COMPREPLY=() ;;
	*) return 1 ;;
	esac
}

_netlogctl_options() {
	case $1 in
	start) echo --tun-source --tun-interface --tun-stats-socket --sock-source --sock-interface \
		--sock-stats-socket --log-id-file --domain-log-id-file ;;
	stop | flush) echo --deadline ;;
	"routes set") echo --local-addr --route --subnet-route --file ;;
	peers) echo --keys --sort ;;
	tail | format) echo --resolve --details ;;
	top) echo --by --class --addr --node --how --sort --limit --details --count ;;
	flows) echo --since --until --class --addr --node --by --how --sort --limit --details --spool ;;
	denied) echo --since --until --class --addr --node --limit --spool --count --resolve ;;
	report) echo --since --until --class --addr --node --output --spool ;;
	"spool check" | "spool repair") echo --spool ;;
	"spool export") echo --since --until --spool ;;
	esac
}

_netlogctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command="" i
	COMPREPLY=()
	_netlogctl_value "$previous" && return

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--socket | --config) i=$((i + 1)) ;;
		-* | help) ;;
		*)
			command=${COMP_WORDS[i]}
			case $command in
			routes | nodes | spool | id)
				if [ $((i + 1)) -eq "$COMP_CWORD" ]; then
					case $command in
					routes | nodes) _netlogctl_words "show set" ;;
					spool) _netlogctl_words "check export repair" ;;
					id) _netlogctl_words "new public" ;;
					esac
					return
				fi
				command="$command ${COMP_WORDS[i + 1]}"
				;;
			esac
			break
			;;
		esac
	done

	case $cur in
	-*) _netlogctl_words "--socket --config --json --help --version $(_netlogctl_options "$command")" ;;
	*)
		case $command in
		"") _netlogctl_words "status start stop reload flush routes nodes peers tail top flows denied report format spool id metrics help" ;;
		"nodes set" | "id new" | "id public" | "spool check" | "spool export" | "spool repair") _netlogctl_files ;;
		esac
		;;
	esac
}

complete -F _netlogctl netlogctl
