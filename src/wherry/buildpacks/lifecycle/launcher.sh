#!/bin/sh
# The launcher: sets the environment that layers give, chooses the process, becomes it. Buildpack API 0.12 "Launch".
# Called as /cnb/process/TYPE [ARGUMENTS], as /cnb/lifecycle/launcher [-- COMMAND... | SHELL COMMAND].
# POSIX sh and nothing else: a run image need not have any other program.

LC_ALL_GIVEN=${LC_ALL-} LC_ALL_SET=${LC_ALL+yes}
LC_ALL=C # file names sort as bytes
layers=${CNB_LAYERS_DIR:-/layers} app=${CNB_APP_DIR:-/workspace}
unset CNB_LAYERS_DIR CNB_APP_DIR CNB_PROCESS_TYPE CNB_PLATFORM_API CNB_DEPRECATION_MODE
called=${0##*/}

fail() {
  echo "launcher: $1" >&2
  exit 82
}

# /cnb/process and /cnb/lifecycle lead here; the application's PATH must not.
strip_path() {
  rest=$PATH: PATH=
  while [ -n "$rest" ]; do
    part=${rest%%:*} rest=${rest#*:}
    case $part in
    /cnb/process | /cnb/lifecycle) ;;
    *) PATH=${PATH:+$PATH:}$part ;;
    esac
  done
  export PATH
}

is_name() {
  case $1 in
  '' | [0-9]* | *[!A-Za-z0-9_]*) return 1 ;;
  esac
}

# Without a program: read lines, as cat would do, and keep the newline at the end only if there is one.
read_file() {
  content=
  while IFS= read -r line; do
    content=$content$line'
'
  done <"$1"
  content=$content$line
}

prepend() { # NAME VALUE DELIMITER
  eval "old=\${$1-}"
  export "$1=$2${old:+$3$old}"
}

append() {
  eval "old=\${$1-}"
  export "$1=${old:+$old$3}$2"
}

env_dir() {
  for file in "$1"/*; do
    [ -f "$file" ] || continue
    name=${file##*/} action=override
    case $name in
    *.*) action=${name#*.} name=${name%%.*} ;;
    esac
    is_name "$name" || continue
    delimiter=
    if [ -f "$1/$name.delim" ]; then
      read_file "$1/$name.delim"
      delimiter=$content
    fi
    read_file "$file"
    case $action in
    override) export "$name=$content" ;;
    default)
      eval "old=\${$name-}"
      [ -n "$old" ] || export "$name=$content"
      ;;
    append) append "$name" "$content" "$delimiter" ;;
    prepend) prepend "$name" "$content" "$delimiter" ;;
    esac
  done
}

layer_dirs() { # calls "$1 DIRECTORY" for each layer, buildpacks in order
  for buildpack in $buildpacks; do
    for directory in "$layers/$buildpack"/*/; do
      directory=${directory%/}
      [ -d "$directory" ] && "$1" "$directory"
    done
  done
}

layer_roots() {
  [ -d "$1/bin" ] && prepend PATH "$1/bin" :
  [ -d "$1/lib" ] && prepend LD_LIBRARY_PATH "$1/lib" :
}

layer_env() {
  env_dir "$1/env"
  env_dir "$1/env.launch"
  [ -n "$type" ] && [ -d "$1/env.launch/$type" ] && env_dir "$1/env.launch/$type"
}

# exec.d programs write TOML of strings to descriptor 3: NAME = "text" or 'text', one a line.
exec_d_in() {
  for program in "$1"/*; do
    [ -f "$program" ] && [ -x "$program" ] || continue
    told=$({ "$program" 3>&1 >&4; } 4>&1 </dev/null) || fail "$program ended with an error"
    while IFS= read -r line; do
      case $line in
      *=*) set_from_toml "$line" ;;
      esac
    done <<TOLD
$told
TOLD
  done
}

set_from_toml() {
  name=${1%%=*} value=${1#*=}
  name=${name#"${name%%[![:space:]]*}"} name=${name%"${name##*[![:space:]]}"}
  name=${name#[\"\']} name=${name%[\"\']}
  value=${value#"${value%%[![:space:]]*}"} value=${value%"${value##*[![:space:]]}"}
  is_name "$name" || return 0
  case $value in
  \'*\') value=${value#\'} value=${value%\'} ;;
  \"*\") value=${value#\"} && unescape "${value%\"}" ;;
  *) return 0 ;;
  esac
  export "$name=$value"
}

unescape() { # the escapes of a TOML basic string, but for \u
  rest=$1 value=
  while :; do
    case $rest in
    *\\*) ;;
    *) break ;;
    esac
    value=$value${rest%%\\*} rest=${rest#*\\}
    case $rest in
    n*) value=$value'
' ;;
    t*) value=$value'	' ;;
    *) value=$value${rest%"${rest#?}"} ;;
    esac
    rest=${rest#?}
  done
  value=$value$rest
}

layer_exec_d() {
  exec_d_in "$1/exec.d"
  [ -n "$type" ] && exec_d_in "$1/exec.d/$type"
}

profile_in() {
  for file in "$1"/*; do
    [ -f "$file" ] && . "$file"
  done
}

layer_profile() {
  profile_in "$1/profile.d"
  [ -n "$type" ] && profile_in "$1/profile.d/$type"
}

run() { # direct|shell DIRECTORY COMMAND...
  mode=$1 directory_given=$2
  shift 2
  strip_path
  layer_dirs layer_roots
  layer_dirs layer_env
  cd "$app" || fail "cannot go to $app"
  layer_dirs layer_exec_d
  restore_locale
  if [ "$mode" = shell ]; then
    layer_dirs layer_profile
    [ -f "$app/.profile" ] && . "$app/.profile"
  fi
  cd "${directory_given:-$app}" || fail "cannot go to $directory_given"
  if [ "$mode" = shell ]; then
    shell=/bin/sh
    [ -x /bin/bash ] && shell=/bin/bash
    script=$1
    shift
    for word in "$@"; do
      eval "word=\"$word\""
      script="$script '$(quote "$word")'"
    done
    exec "$shell" -c "$script"
  fi
  command -v "$1" >/dev/null 2>&1 || fail "command '$1' is not in the image (PATH is $PATH)"
  exec "$@"
}

quote() { # ' becomes '\''
  rest=$1 quoted=
  while :; do
    case $rest in
    *\'*) quoted="$quoted${rest%%\'*}'\\''" rest=${rest#*\'} ;;
    *) break ;;
    esac
  done
  printf '%s' "$quoted$rest"
}

restore_locale() {
  if [ -n "$LC_ALL_SET" ]; then LC_ALL=$LC_ALL_GIVEN; else unset LC_ALL; fi
  unset LC_ALL_SET LC_ALL_GIVEN
}

[ -f "$layers/config/launch.sh" ] || fail "$layers/config/launch.sh is missing: this image was not made by wherry build"
. "$layers/config/launch.sh"

type=
if [ "$called" != launcher ]; then
  type=$called
  choose "$type" "$@" || fail "process type '$called' does not exist in this image"
fi
[ $# -gt 0 ] || fail "no default process type and no command given"
if [ "$1" = -- ]; then
  shift
  [ $# -gt 0 ] || fail "no command after --"
  run direct "" "$@"
fi
run shell "" "$@"
