package cluster

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

func TestRollbackSurvivesTheRoundTrip(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 1, 2, 3, 4e3, time.UTC)
	want := agent.Request{
		Line: agent.Line{App: "shop", Environment: "production"}, Namespace: "shop-production", Name: "shop-x", To: "previous", By: "alice", Reason: "broken",
		Answer:  agent.Answer{Phase: agent.RequestAdmitted, Release: 4, Restore: 2, Message: "Release 4 brings back release 2", At: at},
		Version: "7",
	}
	o := rollbackResource(want)
	got := domainRequest(o)
	want.CreatedAt = got.CreatedAt // the API server's
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("another request (-want +got):\n%s", diff)
	}
	want.Answer.Message = strings.Repeat("ä", v1alpha1.MaxMessage)
	if got := rollbackResource(want).Status.Message; len([]rune(got)) > v1alpha1.MaxMessage {
		t.Errorf("got a message of %d characters, which the schema refuses", len([]rune(got)))
	}
}

func TestVouches(t *testing.T) {
	t.Parallel()
	made := time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC)
	ignore := admissionv1.Ignore
	for _, test := range []struct {
		name   string
		change func(*admissionv1.ValidatingAdmissionPolicy, *admissionv1.ValidatingAdmissionPolicyBinding)
		asked  time.Time
		want   string // empty: it does
	}{
		{"in force", nil, made.Add(time.Second), ""},
		{"newer than what was asked for", nil, made, "before the policy"},
		{"another demand", func(p *admissionv1.ValidatingAdmissionPolicy, _ *admissionv1.ValidatingAdmissionPolicyBinding) {
			p.Spec.Validations[0].Expression = "true"
		}, made.Add(time.Second), "does not demand"},
		{"an optional one", func(p *admissionv1.ValidatingAdmissionPolicy, _ *admissionv1.ValidatingAdmissionPolicyBinding) {
			p.Spec.FailurePolicy = &ignore
		}, made.Add(time.Second), "does not demand"},
		{"for some", func(p *admissionv1.ValidatingAdmissionPolicy, _ *admissionv1.ValidatingAdmissionPolicyBinding) {
			p.Spec.MatchConditions = []admissionv1.MatchCondition{{Name: "x"}}
		}, made.Add(time.Second), "does not demand"},
		{"with a parameter", func(p *admissionv1.ValidatingAdmissionPolicy, _ *admissionv1.ValidatingAdmissionPolicyBinding) {
			p.Spec.ParamKind = &admissionv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"}
		}, made.Add(time.Second), "does not demand"},
		{"a warning alone", func(_ *admissionv1.ValidatingAdmissionPolicy, b *admissionv1.ValidatingAdmissionPolicyBinding) {
			b.Spec.ValidationActions = []admissionv1.ValidationAction{admissionv1.Warn}
		}, made.Add(time.Second), "does not deny everywhere"},
		{"in some namespaces", func(_ *admissionv1.ValidatingAdmissionPolicy, b *admissionv1.ValidatingAdmissionPolicyBinding) {
			b.Spec.MatchResources = &admissionv1.MatchResources{}
		}, made.Add(time.Second), "does not deny everywhere"},
		{"of another policy", func(_ *admissionv1.ValidatingAdmissionPolicy, b *admissionv1.ValidatingAdmissionPolicyBinding) {
			b.Spec.PolicyName = "x"
		}, made.Add(time.Second), "does not deny everywhere"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			policy, binding := installedPolicy(t)
			policy.CreationTimestamp, binding.CreationTimestamp = metav1.NewTime(made), metav1.NewTime(made)
			if test.change != nil {
				test.change(&policy, &binding)
			}
			err := vouches(policy, binding, test.asked)
			if test.want == "" && err != nil || test.want != "" && (!errors.Is(err, agent.ErrUnvouched) || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestVouchesForAPolicyThatIsAskedAboutEveryRollback is about what a policy looks at.
func TestVouchesForAPolicyThatIsAskedAboutEveryRollback(t *testing.T) {
	t.Parallel()
	cluster := admissionv1.ClusterScope
	some := &metav1.LabelSelector{MatchLabels: map[string]string{"x": "y"}}
	for name, change := range map[string]func(m *admissionv1.MatchResources, r *admissionv1.NamedRuleWithOperations){
		"no rules": func(m *admissionv1.MatchResources, _ *admissionv1.NamedRuleWithOperations) { m.ResourceRules = nil },
		"another group": func(_ *admissionv1.MatchResources, r *admissionv1.NamedRuleWithOperations) {
			r.APIGroups = []string{"apps"}
		},
		"another version": func(_ *admissionv1.MatchResources, r *admissionv1.NamedRuleWithOperations) {
			r.APIVersions = []string{"v9"}
		},
		"another resource": func(_ *admissionv1.MatchResources, r *admissionv1.NamedRuleWithOperations) {
			r.Resources = []string{"apps"}
		},
		"rollbacks of one name": func(_ *admissionv1.MatchResources, r *admissionv1.NamedRuleWithOperations) {
			r.ResourceNames = []string{"x"}
		},
		"what has no namespace": func(_ *admissionv1.MatchResources, r *admissionv1.NamedRuleWithOperations) { r.Scope = &cluster },
		"some namespaces": func(m *admissionv1.MatchResources, _ *admissionv1.NamedRuleWithOperations) {
			m.NamespaceSelector = some
		},
		"some objects": func(m *admissionv1.MatchResources, _ *admissionv1.NamedRuleWithOperations) { m.ObjectSelector = some },
		"changes alone": func(_ *admissionv1.MatchResources, r *admissionv1.NamedRuleWithOperations) {
			r.Operations = []admissionv1.OperationType{admissionv1.Update}
		},
		"all but what is left out": func(m *admissionv1.MatchResources, r *admissionv1.NamedRuleWithOperations) {
			m.ExcludeResourceRules = []admissionv1.NamedRuleWithOperations{*r}
		},
		"objects that lack a label": func(m *admissionv1.MatchResources, _ *admissionv1.NamedRuleWithOperations) {
			m.ObjectSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "x", Operator: metav1.LabelSelectorOpDoesNotExist}}}
		},
	} {
		policy, binding := installedPolicy(t)
		// As the API server fills in what the manifest leaves open.
		policy.Spec.MatchConstraints.NamespaceSelector = &metav1.LabelSelector{}
		policy.Spec.MatchConstraints.ObjectSelector = &metav1.LabelSelector{}
		if err := vouches(policy, binding, time.Now()); err != nil {
			t.Fatalf("as it is installed: %v", err)
		}
		change(policy.Spec.MatchConstraints, &policy.Spec.MatchConstraints.ResourceRules[0])
		if err := vouches(policy, binding, time.Now()); !errors.Is(err, agent.ErrUnvouched) || !strings.Contains(err.Error(), "does not look at every rollback") {
			t.Errorf("%s: got %v, want it not vouched for", name, err)
		}
	}
	policy, binding := installedPolicy(t)
	policy.Spec.MatchConstraints = nil
	if err := vouches(policy, binding, time.Now()); !errors.Is(err, agent.ErrUnvouched) {
		t.Errorf("no constraints: got %v, want it not vouched for", err)
	}
}

// installedPolicy is what deploy/ installs.
func installedPolicy(t *testing.T) (policy admissionv1.ValidatingAdmissionPolicy, binding admissionv1.ValidatingAdmissionPolicyBinding) {
	t.Helper()
	content, err := os.ReadFile("../../deploy/admission.yaml")
	if err != nil {
		t.Fatal(err)
	}
	first, second, found := strings.Cut(string(content), "\n---\n")
	if err := errors.Join(yaml.UnmarshalStrict([]byte(first), &policy), yaml.UnmarshalStrict([]byte(second), &binding)); err != nil || !found {
		t.Fatalf("deploy/admission.yaml: %v, want a policy and its binding", err)
	}
	return policy, binding
}
