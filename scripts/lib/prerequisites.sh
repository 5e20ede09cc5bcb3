# Sourced by the scripts: what they need on the machine, how it is installed where that is allowed, and what is said
# where it is not. It runs in any bash from 3.2 on.
# shellcheck shell=bash

die() {
    printf 'scripts/%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# --- what is missing -------------------------------------------------------------------------------------------------

missing_packages=() # names of Debian packages
missing_reasons=()  # a line each, in the same order

# need DEBIAN_PACKAGE WHAT COMMAND...: notes a package when the command does not succeed.
need() {
    local package=$1 what=$2
    shift 2
    "$@" >/dev/null 2>&1 && return
    missing_packages+=("$package")
    missing_reasons+=("$what (Debian package: $package)")
}

# What cargo needs besides itself: librdkafka is built with a C and a C++ compiler and make, OpenSSL with perl.
find_missing_for_build() {
    need build-essential "a C and a C++ compiler and make" has_commands cc c++ make ar
    need perl "perl with its standard modules" perl -MFindBin -MIPC::Cmd -MFile::Compare -MFile::Copy -e 1
}

# What scripts/kafka needs.
find_missing_for_kafka() {
    need default-jdk-headless "Java 17 or newer" java_is_new_enough
    need maven "Maven" has_commands mvn
    need openssl "the openssl command" has_commands openssl
}

# What the lints of the shell scripts need.
find_missing_for_lints() {
    need shellcheck "shellcheck" has_commands shellcheck
}

has_commands() {
    local name
    for name in "$@"; do
        command -v "$name" >/dev/null || return 1
    done
}

# Installs what is noted as missing, or ends with a message that names it all.
#   install_missing CHECK...: the checks are run before, and again after.
install_missing() {
    find_missing "$@"
    ((${#missing_packages[@]})) || return 0
    if can_install; then
        echo "Installing with apt-get: ${missing_packages[*]}" >&2
        apt_get_install "${missing_packages[@]}" ||
            die "apt-get could not install ${missing_packages[*]}; its own message stands above"
        find_missing "$@"
        ((${#missing_packages[@]})) || return 0
    fi
    {
        echo "scripts/${0##*/}: this machine lacks"
        printf '  - %s\n' "${missing_reasons[@]}"
        echo "Install that and start again. As root, or with sudo that asks for no password, Debian packages are installed for you."
    } >&2
    exit 1
}

find_missing() {
    local check
    missing_packages=() missing_reasons=()
    for check in "$@"; do
        "$check"
    done
}

can_install() {
    command -v apt-get >/dev/null && as_root true 2>/dev/null
}

as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

apt_get_install() {
    as_root apt-get update -qq >&2 &&
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -qq -o Dpkg::Use-Pty=0 --yes --no-install-recommends "$@" </dev/null >&2
}

# --- Rust ------------------------------------------------------------------------------------------------------------

# Puts a cargo that is new enough for the Cargo.toml of ROOT on the PATH, or ends with a message that says how to get one.
#   require_cargo ROOT
require_cargo() {
    local wanted found offered
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$1/Cargo.toml")
    if ! command -v cargo >/dev/null && [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/cargo ]]; then
        PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    fi
    found=$(cargo_version)
    if [[ -z $found ]] && can_install; then
        # Debian's cargo is welcome when it is new enough, and of no use when it is not.
        as_root apt-get update -qq >&2 || true
        offered=$(apt-cache policy cargo 2>/dev/null | sed -nE 's/^ *Candidate: ([0-9]+\.[0-9]+).*/\1/p')
        if [[ -n $offered ]] && at_least "$offered" "$wanted"; then
            echo "Installing with apt-get: cargo" >&2
            apt_get_install cargo || true
            found=$(cargo_version)
        fi
    fi
    if [[ -z $found ]]; then
        die "cargo is missing: Rust $wanted or newer is needed. Get it with rustup (https://rustup.rs;" \
            "on Debian 13 and newer: apt-get install rustup && rustup default stable) and start again"
    fi
    if ! at_least "$found" "$wanted"; then
        die "cargo $found ($(command -v cargo)) is too old: Rust $wanted or newer is needed. With rustup:" \
            "rustup update stable. Otherwise get rustup (https://rustup.rs) and start again"
    fi
}

# Prints the version of the cargo that works, such as 1.95.0; nothing where there is none.
cargo_version() {
    cargo --version 2>/dev/null | sed -nE 's/^cargo ([0-9.]+).*/\1/p' || true
}

# at_least FOUND WANTED: compares the first two numbers of two versions.
at_least() {
    local found_major found_minor wanted_major wanted_minor _
    IFS=. read -r found_major found_minor _ <<<"$1"
    IFS=. read -r wanted_major wanted_minor _ <<<"$2"
    ((found_major > wanted_major || (found_major == wanted_major && found_minor >= wanted_minor)))
}

# --- Java ------------------------------------------------------------------------------------------------------------

# The Java to use: JAVA_HOME's where that is set.
java_program() {
    if [[ -n ${JAVA_HOME-} && -x $JAVA_HOME/bin/java ]]; then
        echo "$JAVA_HOME/bin/java"
    else
        command -v java
    fi
}

# Prints the major version, such as 17; nothing where there is no Java. A JDK says it in a file, which is read a hundred
# times sooner than a virtual machine starts.
java_version() {
    local program release
    program=$(java_program) || return 0
    release=$(dirname "$(dirname "$(readlink -f "$program")")")/release
    if [[ -r $release ]]; then
        cat "$release"
    else
        "$program" -version 2>&1
    fi | sed -nE 's/.*(JAVA_VERSION=| version )"(1\.)?([0-9]+).*/\3/p' | head -n 1
}

java_is_new_enough() {
    local version
    version=$(java_version)
    [[ -n $version ]] && ((version >= 17))
}

require_java() {
    java_is_new_enough ||
        die "Java 17 or newer is missing: install a JDK (Debian package: default-jdk-headless), or set JAVA_HOME to one"
}

require_maven() {
    has_commands mvn ||
        die "Maven is missing: install it (Debian package: maven), it fetches the jars of Apache Kafka"
}
