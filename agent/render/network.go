package render

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/inhaul/inhaul/agent"
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
// anyway never hold a drain up.
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

// defaultPolicy lets only pods of the same namespace reach the app's pods: other
// environments and other apps stay out. It is the app's own, so that two apps in
// one namespace do not write the same object.
func defaultPolicy(r agent.Release) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: PolicyName(r.Line.App), Namespace: r.Namespace, Labels: appLabels(r)},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{LabelApp: label(r.Line.App)}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{{
				From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}},
			}},
		},
	}
}

// webPolicy opens a web service's port to everybody. Policies add up: it is
// where ingress controllers and load balancers come in.
func (s service) webPolicy() *networkingv1.NetworkPolicy {
	port := intstr.FromString(PortName)
	tcp := corev1.ProtocolTCP
	return &networkingv1.NetworkPolicy{
		ObjectMeta: s.meta(s.object),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: s.selector()},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{{
				Ports: []networkingv1.NetworkPolicyPort{{Port: &port, Protocol: &tcp}},
			}},
		},
	}
}
