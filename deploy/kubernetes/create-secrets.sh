#!/usr/bin/env bash
# Creates the Secrets and the certificate authority that the overlays refer to: random passwords, and certificates of an
# authority whose key is thrown away at the end. Existing Secrets stay, so a run that was interrupted can be repeated:
# until all certificates are there, the authority's key is in the Secret journey-ca-key. For a cluster of your own; in
# production a secret store and cert-manager do this (docs/kubernetes.md).
# Usage: create-secrets.sh [HOST]   HOST: of the shop in browsers, by default shop.localhost
set -euo pipefail
host=${1:-shop.localhost}
namespace=order-journey
for file in "$(dirname "$0")"/base/services/*.yaml; do
    name=$(basename "$file" .yaml)
    case $name in jobs | kustomization) ;; *) services+=("$name") ;; esac
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

password() { openssl rand -hex 24; }
exists() { # kind/name
    grep -qxF "$1" existing
}
secret() { # kind name arguments…
    exists "secret/$2" || kubectl -n "$namespace" create secret "$@"
}
generic() { # name key=value…: by files, because arguments are visible to other users of the machine
    local name=$1 pair arguments=()
    shift
    for pair in "$@"; do
        printf '%s' "${pair#*=}" >"$name.${pair%%=*}"
        arguments+=("--from-file=${pair%%=*}=$name.${pair%%=*}")
    done
    secret generic "$name" "${arguments[@]}"
}
login() { # name user
    generic "$1" username="$2" password="$(password)"
}
certificate() { # name host…
    local name=$1 names
    shift
    exists "secret/$name-tls" && return
    names=$(printf 'DNS:%s,' "$@")
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" \
        -keyout "$name.key" -out "$name.csr" 2>/dev/null
    openssl x509 -req -in "$name.csr" -CA ca.crt -CAkey ca.key -days 365 -out "$name.crt" \
        -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "${names%,}") 2>/dev/null
    secret tls "$name-tls" --cert="$name.crt" --key="$name.key"
}
stored() { # key: of the Secret that holds the authority
    kubectl -n "$namespace" get secret journey-ca-key -o "jsonpath={.data.tls\\.$1}" | base64 -d >"ca.$1"
}
authority() { # the one of an interrupted run, or a new one
    local certified=()
    if exists secret/journey-ca-key; then
        stored crt
        stored key
        return
    fi
    mapfile -t certified < <(grep -xF -f <(printf 'secret/%s-tls\n' "${services[@]}" rabbitmq mongo mail) existing)
    if [ -n "${certified[*]}" ]; then
        echo "certificates exist without the ConfigMap journey-ca of their authority: create it, or delete them:" >&2
        echo "kubectl -n $namespace delete" "${certified[@]}" >&2
        exit 1
    fi
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj '/CN=order-journey' \
        -keyout ca.key -out ca.crt 2>/dev/null
    secret tls journey-ca-key --cert=ca.crt --key=ca.key
}
certificates() {
    local service
    for service in "${services[@]}"; do
        certificate "$service" "$service" "$service.$namespace.svc"
    done
    certificate rabbitmq "rabbitmq.$namespace.svc" "*.rabbitmq-nodes.$namespace.svc" \
        "*.rabbitmq-nodes.$namespace.svc.cluster.local"
    certificate mongo "*.mongo-svc.$namespace.svc.cluster.local"
    certificate shop "$host"
    certificate mail mail
}

found=$(kubectl get namespace "$namespace" --ignore-not-found -o name)
[ -n "$found" ] || kubectl create namespace "$namespace"
kubectl -n "$namespace" get secrets,configmaps -o name >existing
if exists configmap/journey-ca && ! exists secret/journey-ca-key; then
    for name in "${services[@]}" rabbitmq mongo shop mail; do
        exists "secret/$name-tls" || missing="${missing:-} $name-tls"
    done
    [ -z "${missing:-}" ] || echo "no certificates can be added, because the authority's key was thrown away:$missing" >&2
    echo "the ConfigMap journey-ca exists: delete it and the Secrets *-tls to renew all certificates" >&2
    [ -z "${missing:-}" ] || exit 1
else
    authority
    certificates
    exists configmap/journey-ca || kubectl -n "$namespace" create configmap journey-ca --from-file=ca.crt
    kubectl -n "$namespace" delete secret journey-ca-key
fi

# The staff pages use the administrator of the broker and store nothing.
for service in "${services[@]}"; do
    [ "$service" != operations ] || continue
    login "$service-broker" "${service//-/_}"
    login "$service-database" "${service//-/_}"
done
login client-broker client
login operator-database operator
login admin-database admin
generic service-token token="$(password)"
generic smtp password="${SMTP_PASSWORD:-$(password)}"
password=$(password)
generic operator-broker username=operator password="$password" \
    default_user.conf="$(printf 'default_user = operator\ndefault_pass = %s' "$password")" \
    host="rabbitmq.$namespace.svc" port=5671 provider=rabbitmq type=rabbitmq
