package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// hostToken stands for the host name in the platform's name of a certificate.
const hostToken = "{host}"

// route lets the traffic of the service's domains in, through the platform's
// Gateway if it has one and else by an Ingress.
func (s service) route(made set) error {
	if !s.Public() || len(s.Domains) == 0 {
		return nil
	}
	gateway := s.platform.Routing.Gateway
	switch {
	case gateway == "":
		made.add("Ingress", s.ingress())
	case !s.platform.Gateway:
		return fmt.Errorf("domains go through the Gateway %q, and this cluster has no HTTPRoutes: "+
			"install the Gateway API (https://gateway-api.sigs.k8s.io) or take the Gateway out of the App", gateway)
	default:
		made.add("HTTPRoute", s.httpRoute())
	}
	return nil
}

func (s service) ingress() *networkingv1.Ingress {
	routing := s.platform.Routing
	meta := s.meta(s.object)
	meta.Annotations = maps.Clone(routing.Annotations)
	ingress := &networkingv1.Ingress{ObjectMeta: meta}
	if routing.IngressClass != "" {
		ingress.Spec.IngressClassName = &routing.IngressClass
	}
	if routing.TLSSecret != "" {
		ingress.Spec.TLS = s.certificates()
	}
	prefix := networkingv1.PathTypePrefix
	for _, host := range s.hosts() {
		rule := networkingv1.IngressRule{Host: host}
		rule.HTTP = &networkingv1.HTTPIngressRuleValue{}
		for _, path := range s.prefixes() {
			rule.HTTP.Paths = append(rule.HTTP.Paths, networkingv1.HTTPIngressPath{
				Path: path, PathType: &prefix,
				Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
					Name: s.object, Port: networkingv1.ServiceBackendPort{Name: PortName},
				}},
			})
		}
		ingress.Spec.Rules = append(ingress.Spec.Rules, rule)
	}
	return ingress
}

// certificates names a Secret for every host: one for all, or one for each. The
// star of a wildcard has no place in a Secret's name.
func (s service) certificates() []networkingv1.IngressTLS {
	secret := s.platform.Routing.TLSSecret
	if !strings.Contains(secret, hostToken) {
		return []networkingv1.IngressTLS{{Hosts: s.hosts(), SecretName: secret}}
	}
	var tls []networkingv1.IngressTLS
	for _, host := range s.hosts() {
		name := strings.ReplaceAll(secret, hostToken, strings.ReplaceAll(host, "*", "wildcard"))
		tls = append(tls, networkingv1.IngressTLS{Hosts: []string{host}, SecretName: name})
	}
	return tls
}

// httpRoute sends the hosts' traffic to the service. TLS is the Gateway's own
// business.
func (s service) httpRoute() *unstructured.Unstructured {
	routing := s.platform.Routing
	parent := map[string]any{"name": routing.Gateway}
	if routing.GatewaySpace != "" {
		parent["namespace"] = routing.GatewaySpace
	}
	var hosts, matches []any
	for _, host := range s.hosts() {
		hosts = append(hosts, host)
	}
	for _, path := range s.prefixes() {
		matches = append(matches, map[string]any{"path": map[string]any{"type": "PathPrefix", "value": path}})
	}
	meta := s.meta(s.object)
	meta.Annotations = routing.Annotations
	return custom(meta, map[string]any{
		"parentRefs": []any{parent},
		"hostnames":  hosts,
		"rules": []any{map[string]any{
			"matches":     matches,
			"backendRefs": []any{map[string]any{"name": s.object, "port": int64(servicePort)}},
		}},
	})
}

// hosts are the service's domains, sorted: their order means nothing.
func (s service) hosts() []string {
	return slices.Compact(slices.Sorted(slices.Values(s.Domains)))
}

// prefixes are the paths that the service answers, sorted; of two that match the
// longer one wins, whatever their order.
func (s service) prefixes() []string {
	if len(s.Paths) == 0 {
		return []string{"/"}
	}
	return slices.Compact(slices.Sorted(slices.Values(s.Paths)))
}
