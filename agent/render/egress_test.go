package render

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/inhaul/inhaul/agent"
)

func walls(t *testing.T, p agent.PreviewPolicy) networkingv1.NetworkPolicySpec {
	t.Helper()
	p.Quota = agent.Quota{CPU: "1", Memory: "1Gi", Pods: 3}
	rails, err := RailsOf(agent.Release{Line: agent.Line{App: "shop", Environment: "pr-7"}, Namespace: "shop-pr-7"}, "uid", p)
	if err != nil {
		t.Fatal(err)
	}
	return rails.Walls.Spec
}

// reaches reports whether a policy lets out to an address that is no pod's, on a port
// that is not that of DNS.
func reaches(t *testing.T, policy networkingv1.NetworkPolicySpec, address string) bool {
	t.Helper()
	a := netip.MustParseAddr(address)
	for _, rule := range policy.Egress {
		for _, peer := range rule.To {
			if peer.IPBlock == nil || len(rule.Ports) > 0 || !netip.MustParsePrefix(peer.IPBlock.CIDR).Contains(a) {
				continue
			}
			if !slices.ContainsFunc(peer.IPBlock.Except, func(e string) bool { return netip.MustParsePrefix(e).Contains(a) }) {
				return true
			}
		}
	}
	return false
}

func TestPreviewsReachTheInternetAndNoPrivateAddress(t *testing.T) {
	t.Parallel()
	policy := walls(t, agent.PreviewPolicy{})
	for address, want := range map[string]bool{
		"1.1.1.1": true, "140.82.121.4": true, "11.0.0.1": true, "172.32.0.1": true, "100.128.0.1": true, "2606:4700::1111": true, "64:ff9b::8c52:7904": true,
		"10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false, "100.64.0.1": false, "127.0.0.1": false, "0.0.0.0": false, "224.0.0.1": false, "240.0.0.1": false,
		"169.254.169.254": false, "169.254.170.2": false, "169.254.170.23": false, "169.254.20.10": false,
		"fd00:ec2::254": false, "fd00:ec2::23": false, "fe80::a9fe:a9fe": false, "::1": false, "ff02::1": false,
		"64:ff9b::a9fe:a9fe": false, "64:ff9b::a00:1": false, "64:ff9b::ac10:1": false, "64:ff9b::c0a8:101": false,
	} {
		if got := reaches(t, policy, address); got != want {
			t.Errorf("%s: reached %t, want %t", address, got, want)
		}
	}
	for _, peer := range policy.Egress[2].To { // the API server refuses an exception outside of its range
		block := netip.MustParsePrefix(peer.IPBlock.CIDR)
		for _, e := range peer.IPBlock.Except {
			if except := netip.MustParsePrefix(e); !block.Contains(except.Addr()) || except.Masked() != except {
				t.Errorf("%s except %s: it is not a part of it", block, except)
			}
		}
	}
}

func TestPlatformOwnerOpensRangesToPreviews(t *testing.T) {
	t.Parallel()
	policy := walls(t, agent.PreviewPolicy{EgressAllow: []string{"10.20.0.0/16", "192.168.7.7", "fd12::/16", "10.30.9.9/16"}})
	for address, want := range map[string]bool{
		"10.20.3.4": true, "192.168.7.7": true, "fd12::1": true, "10.30.0.1": true,
		"10.21.0.1": false, "192.168.7.8": false, "fd13::1": false, "169.254.169.254": false, "fd00:ec2::254": false,
	} {
		if got := reaches(t, policy, address); got != want {
			t.Errorf("%s: reached %t, want %t", address, got, want)
		}
	}
	open := walls(t, agent.PreviewPolicy{EgressOpen: true, EgressAllow: []string{"10.20.0.0/16"}})
	if len(open.PolicyTypes) != 1 || open.PolicyTypes[0] != networkingv1.PolicyTypeIngress || open.Egress != nil {
		t.Errorf("open: got %v and %d rules of egress, want ingress alone", open.PolicyTypes, len(open.Egress))
	}
	for _, rule := range walls(t, agent.PreviewPolicy{EgressAllow: []string{}}).Egress {
		if len(rule.To) == 0 {
			t.Error("a rule to nobody in particular, which is one to everybody")
		}
	}
	for _, bad := range []string{"", "example.com", "10.0.0.0/33", "fe80::1%eth0"} {
		_, err := RailsOf(agent.Release{}, "uid", agent.PreviewPolicy{Quota: agent.Quota{CPU: "1", Memory: "1Gi"}, EgressAllow: []string{bad}})
		if err == nil || !strings.Contains(err.Error(), "egress of previews") {
			t.Errorf("allow %q: got %v", bad, err)
		}
	}
}
