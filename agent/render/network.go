package render

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/spec"
)

// servicePort is where a web service is reached inside the cluster.
const servicePort = 80

// service routes the cluster's traffic to the ready pods.
func (s service) service() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: s.meta(s.object),
		Spec: corev1.ServiceSpec{
			Selector: s.selector(),
			Ports: []corev1.ServicePort{{
				Name: PortName, Port: servicePort, TargetPort: intstr.FromString(PortName), Protocol: corev1.ProtocolTCP,
			}},
		},
	}
}

// disruptionBudget lets nodes be drained one pod at a time. Pods that are broken
// anyway never hold a drain up, and neither does the last pod of a service that
// is scaled down.
func (s service) disruptionBudget() *policyv1.PodDisruptionBudget {
	one := intstr.FromInt32(1)
	always := policyv1.AlwaysAllow
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: s.meta(s.object),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable:             &one,
			Selector:                   &metav1.LabelSelector{MatchLabels: s.selector()},
			UnhealthyPodEvictionPolicy: &always,
		},
	}
}

// defaultPolicy lets only pods of the same namespace reach the app's pods, those
// of its jobs and of its predeploy too: other environments and other apps stay
// out. It is the app's own, so that two apps in one namespace do not write the
// same object. It leaves databases aside, which the app alone may reach.
func defaultPolicy(r agent.Release) *networkingv1.NetworkPolicy {
	pods := metav1.LabelSelector{MatchLabels: map[string]string{LabelApp: label(r.Line.App)}}
	if len(r.App.Databases) > 0 {
		pods.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: LabelDatabase, Operator: metav1.LabelSelectorOpDoesNotExist}}
	}
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: PolicyName(r.Line.App), Namespace: r.Namespace, Labels: appLabels(r)},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: pods,
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{{
				From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}},
			}},
		},
	}
}

// policy opens the port of a web service to more than its namespace; nil if
// nobody else may reach it. Policies add up.
func (s service) policy() *networkingv1.NetworkPolicy {
	if s.Type != spec.Web {
		return nil
	}
	port, tcp := intstr.FromString(PortName), corev1.ProtocolTCP
	ports := []networkingv1.NetworkPolicyPort{{Port: &port, Protocol: &tcp}}
	var rules []networkingv1.NetworkPolicyIngressRule
	if s.Public() {
		rules = append(rules, networkingv1.NetworkPolicyIngressRule{Ports: ports, From: s.gates()})
	}
	if friends := s.friends(); len(friends) > 0 {
		rules = append(rules, networkingv1.NetworkPolicyIngressRule{Ports: ports, From: friends})
	}
	if len(rules) == 0 {
		return nil
	}
	return &networkingv1.NetworkPolicy{
		ObjectMeta: s.meta(s.object),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: s.selector()},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     rules,
		},
	}
}

// gates are where ingress controllers and load balancers come in from; nil,
// which means everywhere, if the platform does not say.
func (s service) gates() []networkingv1.NetworkPolicyPeer {
	from := s.platform.Routing.From
	if len(from) == 0 {
		return nil
	}
	return []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{
		MatchExpressions: []metav1.LabelSelectorRequirement{{
			Key:      corev1.LabelMetadataName, // the API server's own: nobody can put it on another namespace
			Operator: metav1.LabelSelectorOpIn,
			Values:   slices.Compact(slices.Sorted(slices.Values(from))),
		}},
	}}}
}

// friends are the pods of the apps that may connect, in the namespaces of the
// same environment.
func (s service) friends() []networkingv1.NetworkPolicyPeer {
	var peers []networkingv1.NetworkPolicyPeer
	for _, app := range slices.Compact(slices.Sorted(slices.Values(s.AllowFrom))) {
		peers = append(peers, networkingv1.NetworkPolicyPeer{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{LabelEnvironment: label(s.release.Line.Environment)}},
			PodSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{LabelApp: label(app)}},
		})
	}
	return peers
}
