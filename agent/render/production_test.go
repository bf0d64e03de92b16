package render

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/spec"
)

// threeLines is all that somebody says to have a worker.
const threeLines = `
  worker:
    type: worker
    run: bundle exec sidekiq
`

// TestAWorkerOfThreeLinesIsReadyForProduction takes the worker through the ten
// points of a review.
func TestAWorkerOfThreeLinesIsReadyForProduction(t *testing.T) {
	t.Parallel()
	one := worker(t, threeLines)
	pod, container := one.deployment.Spec.Template.Spec, one.deployment.Spec.Template.Spec.Containers[0]
	token := pod.AutomountServiceAccountToken
	for _, point := range []struct {
		name string
		ok   bool
	}{
		{"requests", !container.Resources.Requests.Cpu().IsZero() && !container.Resources.Requests.Memory().IsZero()},
		{"limits", container.Resources.Limits.Memory().Equal(*container.Resources.Requests.Memory())},
		{"grace, and a signal that arrives", *pod.TerminationGracePeriodSeconds == 30 && container.Command[2] == "exec bundle exec sidekiq"},
		{"a disruption budget where it helps", one.budget == nil && worker(t, threeLines+"    replicas: 2\n").budget != nil},
		{"spread over nodes and zones", len(pod.TopologySpreadConstraints) == 2},
		{"not root", *pod.SecurityContext.RunAsNonRoot && !*container.SecurityContext.AllowPrivilegeEscalation},
		{"no token", token != nil && !*token && pod.ServiceAccountName == ""},
		{"restarted whenever it ends", pod.RestartPolicy == "" || pod.RestartPolicy == corev1.RestartPolicyAlways}, // Kubernetes' default
		{"labels to find it by", one.deployment.Spec.Template.Labels[LabelApp] == "shop" && one.deployment.Spec.Template.Labels[LabelService] == "worker"},
		{"closed to other namespaces", one.closed()},
	} {
		if !point.ok {
			t.Errorf("it lacks: %s", point.name)
		}
	}
}

// workload is what a worker becomes.
type workload struct {
	deployment appsv1.Deployment
	budget     *unstructured.Unstructured
	policies   []networkingv1.NetworkPolicy
}

// worker renders an app that has services alone, which have one worker.
func worker(t *testing.T, services string) workload {
	t.Helper()
	file, err := spec.Parse("inhaul.yaml", []byte("app: shop\nservices:"+services+"environments: {production: {branch: main}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	app, err := file.Resolve("production")
	if err != nil {
		t.Fatal(err)
	}
	app.ImageUser = "1000"
	s := story{release: agent.Release{Line: agent.Line{App: "shop", Environment: "production"}, Namespace: "shop", App: app}}
	var w workload
	for _, object := range s.objects(t) {
		switch object.GetKind() {
		case "Deployment":
			w.deployment = typed[appsv1.Deployment](t, object)
		case "PodDisruptionBudget":
			w.budget = object
		case "NetworkPolicy":
			w.policies = append(w.policies, typed[networkingv1.NetworkPolicy](t, object))
		}
	}
	return w
}

// closed reports whether every policy lets pods of the same namespace in alone.
func (w workload) closed() bool {
	for _, policy := range w.policies {
		for _, rule := range policy.Spec.Ingress {
			for _, peer := range rule.From {
				if peer.NamespaceSelector != nil || peer.IPBlock != nil {
					return false
				}
			}
			if len(rule.From) == 0 {
				return false
			}
		}
	}
	return len(w.policies) > 0
}
