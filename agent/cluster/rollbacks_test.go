package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
			policy := admissionv1.ValidatingAdmissionPolicy{
				ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(made)},
				Spec:       admissionv1.ValidatingAdmissionPolicySpec{Validations: []admissionv1.Validation{{Expression: rollbackValidation}}},
			}
			binding := admissionv1.ValidatingAdmissionPolicyBinding{
				ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(made)},
				Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
					PolicyName: rollbackPolicy, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
				},
			}
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
