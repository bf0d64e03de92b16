package render

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/spec"
)

// The labels of a preview's namespace, and of its guard rails.
const (
	// LabelPreview has the UID of the Preview that a namespace was made for. It is what
	// makes the namespace the agent's to delete.
	LabelPreview     = "inhaul.dev/preview"
	LabelPullRequest = "inhaul.dev/pull-request"
)

// PreviewRails is the name of each of the guard rails of a preview's namespace.
const PreviewRails = "inhaul-preview"

// What a container of a preview gets that says nothing itself, so that it fits into
// a quota: others than the app's own, as of a webhook's sidecar.
const (
	defaultPreviewCPU    = "100m"
	defaultPreviewMemory = "256Mi"
)

// Rails are the guard rails of a preview's namespace.
type Rails struct {
	Quota  *corev1.ResourceQuota
	Limits *corev1.LimitRange
	Walls  *networkingv1.NetworkPolicy
}

// PreviewLabels are the labels of the namespace of r, which is made for p.
func PreviewLabels(r agent.Release, p agent.Preview) map[string]string {
	labels := NamespaceLabels(r)
	labels[LabelPreview] = p.UID
	if p.Group != "" {
		labels[LabelGroup] = label(p.Group)
	}
	if number, is := spec.PreviewNumber(r.Line.Environment); is {
		labels[LabelPullRequest] = strconv.Itoa(number)
	}
	return labels
}

// RailsOf are the guard rails of the namespace of r, which is of the preview with
// that UID, as its platform owner wants them. Where other apps may be in it, their
// quotas are added to that of the policy. It fails when a quota or an allowed range
// cannot be read.
//
// The NetworkPolicy lets nothing in to any pod; those of the app let in what it is
// for. It lets nothing out to private addresses, and is the only one about what goes
// out. The LimitRange gives what says nothing of itself something that fits.
func RailsOf(r agent.Release, uid string, policy agent.PreviewPolicy, others ...agent.Quota) (Rails, error) {
	cpu, memory, pods, err := sum(append([]agent.Quota{policy.Quota}, others...))
	if err != nil {
		return Rails{}, err
	}
	walls := networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}}
	if !policy.EgressOpen {
		walls.PolicyTypes = append(walls.PolicyTypes, networkingv1.PolicyTypeEgress)
		if walls.Egress, err = egress(policy); err != nil {
			return Rails{}, err
		}
	}
	meta := metav1.ObjectMeta{Name: PreviewRails, Namespace: r.Namespace, Labels: map[string]string{LabelManagedBy: Manager, LabelPreview: uid}}
	return Rails{
		Quota: &corev1.ResourceQuota{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ResourceQuota"}, ObjectMeta: meta,
			Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
				corev1.ResourceRequestsCPU: cpu, corev1.ResourceRequestsMemory: memory, corev1.ResourceLimitsMemory: memory,
				corev1.ResourcePods:                  *resource.NewQuantity(pods, resource.DecimalSI),
				corev1.ResourceServicesLoadBalancers: *resource.NewQuantity(0, resource.DecimalSI),
				corev1.ResourceServicesNodePorts:     *resource.NewQuantity(0, resource.DecimalSI),
			}},
		},
		Limits: &corev1.LimitRange{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "LimitRange"}, ObjectMeta: meta,
			Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
				Type:           corev1.LimitTypeContainer,
				DefaultRequest: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(defaultPreviewCPU), corev1.ResourceMemory: resource.MustParse(defaultPreviewMemory)},
				Default:        corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(defaultPreviewMemory)},
			}}},
		},
		Walls: &networkingv1.NetworkPolicy{
			TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"}, ObjectMeta: meta, Spec: walls,
		},
	}, nil
}

// sum is what is allowed with all the quotas together.
func sum(quotas []agent.Quota) (cpu, memory resource.Quantity, pods int64, err error) {
	for _, q := range quotas {
		c, err := resource.ParseQuantity(q.CPU)
		if err != nil {
			return cpu, memory, 0, fmt.Errorf("quota of previews: cpu is %q: %w", q.CPU, err)
		}
		m, err := resource.ParseQuantity(q.Memory)
		if err != nil {
			return cpu, memory, 0, fmt.Errorf("quota of previews: memory is %q: %w", q.Memory, err)
		}
		cpu.Add(c)
		memory.Add(m)
		pods += int64(q.Pods)
	}
	return cpu, memory, pods, nil
}

// domains are the host names of a service: its own, or in a preview those that the
// platform gives. One service has the preview's host: that which is called web, or
// else the first public one. Others are below it by their paths, or beside it by
// their name where they would answer to the same.
func (p Platform) domains(a spec.App, s spec.Service) []string {
	if p.Host == "" || !s.Public() || len(s.Domains) > 0 {
		return s.Domains
	}
	public := slices.DeleteFunc(slices.Clone(a.Services), func(s spec.Service) bool { return !s.Public() })
	slices.SortStableFunc(public, func(x, y spec.Service) int { return order(x) - order(y) })
	taken := map[string]bool{}
	for _, other := range public {
		paths := service{Service: other}.prefixes()
		shares := slices.ContainsFunc(paths, func(path string) bool { return taken[path] })
		for _, path := range paths {
			taken[path] = taken[path] || !shares
		}
		switch {
		case other.Name != s.Name:
		case shares:
			first, rest, _ := strings.Cut(p.Host, ".")
			return []string{label(s.Name+"-"+first) + "." + rest}
		default:
			return []string{p.Host}
		}
	}
	return nil
}

// order puts the service called web before the others.
func order(s spec.Service) int {
	if s.Name == "web" {
		return 0
	}
	return 1
}
