# SPDX-License-Identifier: ISC
# How ./dev speaks: short numbered steps with a mark at the end of each.

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$(printf '\033[1m') green=$(printf '\033[32m') red=$(printf '\033[31m')
	dim=$(printf '\033[2m') plain=$(printf '\033[0m')
else
	bold='' green='' red='' dim='' plain=''
fi

step_number=0
steps_failed=0

# step WORDS: begins a step
step() {
	step_number=$((step_number + 1))
	printf '%s%2d. %s%s\n' "$bold" "$step_number" "$*" "$plain"
}

good() {
	printf '    %sok%s  %s\n' "$green" "$plain" "$*"
}

bad() {
	steps_failed=$((steps_failed + 1))
	printf '    %sFAILED%s  %s\n' "$red" "$plain" "$*"
}

note() {
	printf '        %s\n' "$*"
}

# quote: standard input, indented and dim
quote() {
	sed "s/^/        $dim| /; s/\$/$plain/"
}

die() {
	printf '%sdev: %s%s\n' "$red" "$*" "$plain" >&2
	exit 1
}

# logged LOG COMMAND...: runs it with its output in a file
logged() {
	logged_file=$1
	shift
	mkdir -p "${logged_file%/*}"
	"$@" >"$logged_file" 2>&1
}

# quietly LOG COMMAND...: the same; when it fails, what tells why is shown: the
# first errors, or the end of the output
quietly() {
	if logged "$@"; then
		return 0
	fi
	shift
	bad "$*"
	{
		grep -E -m 10 'error:|ERROR:|^E: |undefined reference|^FAILED' "$logged_file" ||
			tail -n 15 "$logged_file"
	} | quote
	note "all of it: $logged_file"
	return 1
}
