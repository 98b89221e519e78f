# Sourced by ./test and ./demo: the system packages that fslens is built from, and the timing of phases.

fslens_packages=(
  g++ cmake ninja-build ccache pkg-config
  libhwy-dev libeigen3-dev libtbb-dev librandom123-dev libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libfmt-dev
  libzip-dev libpugixml-dev libssl-dev zlib1g-dev
  libgtest-dev librapidcheck-dev python3 python3-numpy
)

say() { printf '%s\n' "== $*" >&2; }
fail() { printf '%s\n' "error: $*" >&2; exit 1; }

# phase NAME COMMAND…: runs the command and notes how long it took. The command's exit code is passed on.
fslens_timings=()
phase() {
  local name=$1 start=$SECONDS status=0
  shift
  say "$name"
  "$@" || status=$?
  fslens_timings+=("$(printf '%5d s  %s' $((SECONDS - start)) "$name")")
  return $status
}

print_timings() { printf '%s\n' "${fslens_timings[@]}"; }

# missing_packages [PACKAGE…]: those that dpkg does not have installed, one a line.
missing_packages() {
  local installed
  installed=" $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p' | tr '\n' ' ') "
  local package
  for package in "$@"; do
    [[ $installed == *" $package "* ]] || printf '%s\n' "$package"
  done
}

# Runs apt-get as root, through sudo where that is needed and there.
apt_get() {
  local -a as_root=()
  if [[ $(id -u) -ne 0 ]]; then
    command -v sudo >/dev/null || fail "not root and no sudo: run as root: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 "$@" >&2
}

# Installs what is missing. Touches neither the network nor apt when nothing is.
install_packages() {
  local distribution
  distribution=$(. /etc/os-release 2>/dev/null && printf '%s' "${ID:-unknown} ${VERSION_ID:-}") || distribution=unknown
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "This system ($distribution) has no apt: install these packages of Debian 12 under their names here:" \
      "${fslens_packages[*]}"
    return 0
  fi

  local -a missing
  mapfile -t missing < <(missing_packages "${fslens_packages[@]}")
  [[ ${#missing[@]} -gt 0 ]] || return 0
  case $distribution in
    "debian 12" | "ubuntu 24.04") ;;
    *) say "$distribution is not one of the tested systems (Debian 12, Ubuntu 24.04); trying their package names" ;;
  esac

  say "installing: ${missing[*]}"
  apt_get update || say "apt-get update failed: going on with the package lists at hand"
  local package
  local -a unknown=()
  for package in "${missing[@]}"; do
    [[ $(LC_ALL=C apt-cache policy "$package" 2>/dev/null) =~ "Candidate: "[^\(] ]] || unknown+=("$package")
  done
  [[ ${#unknown[@]} -eq 0 ]] ||
    fail "$distribution has no package ${unknown[*]} in the sources that apt knows. All that is needed: ${fslens_packages[*]}"
  apt_get install -y --no-install-recommends "${missing[@]}" || say "apt-get install failed"
  mapfile -t missing < <(missing_packages "${missing[@]}")
  [[ ${#missing[@]} -eq 0 ]] || fail "could not install ${missing[*]}: install them, then run this again"
}
