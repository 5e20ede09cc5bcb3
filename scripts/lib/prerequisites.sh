# Sourced by the scripts: what they need on the machine, how it is installed where that is allowed, and what is said
# where it is not.
# shellcheck shell=bash

die() {
    printf 'scripts/%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# The Java to use: JAVA_HOME's where that is set.
java_program() {
    if [[ -n ${JAVA_HOME-} && -x $JAVA_HOME/bin/java ]]; then
        echo "$JAVA_HOME/bin/java"
    else
        command -v java
    fi
}

# Prints the major version, such as 17; nothing where there is no Java.
java_version() {
    local program
    program=$(java_program) || return 0
    "$program" -version 2>&1 | sed -nE 's/.*version "(1\.)?([0-9]+).*/\2/p' | head -n 1
}

require_java() {
    local version
    version=$(java_version)
    [[ -n $version ]] || die "Java is missing: install JDK 17 or newer (Debian package: openjdk-17-jdk-headless)"
    ((version >= 17)) || die "Java $version is too old: install JDK 17 or newer (Debian package: openjdk-17-jdk-headless)"
}

require_maven() {
    command -v mvn >/dev/null || die "Maven is missing: install it (Debian package: maven) to fetch the jars of Apache Kafka"
}
