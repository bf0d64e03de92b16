package render

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/inhaul/inhaul/agent"
)

// Where a cluster's DNS is.
const (
	dnsNamespace = "kube-system"
	dnsPort      = 53
	// nodeLocalDNS is where NodeLocal DNSCache listens on each node, as Kubernetes
	// documents it. It is no pod's address, so no selector can mean it.
	nodeLocalDNS = "169.254.20.10/32"
	// nat64 is the prefix by which IPv6 pods reach IPv4 addresses (RFC 6052). Whoever
	// may not reach an address may not reach it by this name either.
	nat64 = "64:ff9b::"
	// nat64Bits is the length of that prefix; the IPv4 address follows it.
	nat64Bits = 96
)

// private4 are the IPv4 ranges that are not the internet (RFC 6890): networks of
// their owners, carriers' and nodes' own, among them the metadata services of clouds,
// 169.254.169.254 and 169.254.170.23.
func private4() []string {
	return []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
	}
}

// private6 are the IPv6 ranges that are not the internet, among them the metadata
// services fd00:ec2::254 and fd00:ec2::23, and those of IPv4 by way of NAT64, 6to4 and Teredo. IPv4 in
// IPv6 (::ffff:0:0/96) is never sent, and the API server takes no such range.
func private6() []string {
	ranges := []string{"::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2002::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"}
	for _, text := range private4() {
		prefix := netip.MustParsePrefix(text)
		address, four := netip.MustParseAddr(nat64).As16(), prefix.Addr().As4()
		copy(address[nat64Bits/8:], four[:])
		ranges = append(ranges, netip.PrefixFrom(netip.AddrFrom16(address), nat64Bits+prefix.Bits()).String())
	}
	return ranges
}

// egress is what the pods of a preview may connect to: each other, the cluster's DNS,
// the internet, and what the platform owner allows. Plugins look at it where a
// service's address is already that of a pod, or know which pods a service has; so
// pods are selected, and no service's address is among the rules. It fails when an
// allowed range cannot be read.
func egress(p agent.PreviewPolicy) ([]networkingv1.NetworkPolicyEgressRule, error) {
	udp, tcp, dns := corev1.ProtocolUDP, corev1.ProtocolTCP, intstr.FromInt32(dnsPort)
	rules := []networkingv1.NetworkPolicyEgressRule{
		{To: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}},
		{
			Ports: []networkingv1.NetworkPolicyPort{{Port: &dns, Protocol: &udp}, {Port: &dns, Protocol: &tcp}},
			To: []networkingv1.NetworkPolicyPeer{
				{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: dnsNamespace}}},
				{IPBlock: &networkingv1.IPBlock{CIDR: nodeLocalDNS}},
			},
		},
		{To: []networkingv1.NetworkPolicyPeer{
			{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: private4()}},
			{IPBlock: &networkingv1.IPBlock{CIDR: "::/0", Except: private6()}},
		}},
	}
	var allowed []networkingv1.NetworkPolicyPeer
	for _, text := range p.EgressAllow {
		block, err := addressRange(text)
		if err != nil {
			return nil, fmt.Errorf("egress of previews: allow has %q, want an address range such as 10.20.0.0/16: %w", text, err)
		}
		allowed = append(allowed, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: block.String()}})
	}
	if len(allowed) > 0 { // a rule to nobody in particular would be one to everybody
		rules = append(rules, networkingv1.NetworkPolicyEgressRule{To: allowed})
	}
	return rules, nil
}

// addressRange reads an address range, or one address.
func addressRange(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		return netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	return prefix.Masked(), err
}
