package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

// The policy of deploy/admission.yaml, and what it demands.
const (
	rollbackPolicy     = "inhaul-rollback"
	rollbackValidation = "object.spec.requestedBy == request.userInfo.username"
)

// Vouch asks the API server whether it has had the policy by which nobody makes a
// rollback in another's name since before r was made. It believes the names of the
// policy: who may change that may change anything.
func (c *Client) Vouch(ctx context.Context, r agent.Request) error {
	var policy admissionv1.ValidatingAdmissionPolicy
	var binding admissionv1.ValidatingAdmissionPolicyBinding
	for plural, o := range map[string]any{"validatingadmissionpolicies": &policy, "validatingadmissionpolicybindings": &binding} {
		if err := c.readAdmission(ctx, plural, o); err != nil {
			return err
		}
	}
	return vouches(policy, binding, r.CreatedAt)
}

func (c *Client) readAdmission(ctx context.Context, plural string, into any) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	data, err := c.clients.custom.Get().AbsPath("/apis/admissionregistration.k8s.io/v1", plural, rollbackPolicy).Do(ctx).Raw()
	if apierrors.IsNotFound(err) {
		return unvouched("the cluster has none of the %s by the name %s", plural, rollbackPolicy)
	}
	if err != nil {
		return fmt.Errorf("reading %s of %s: %w", rollbackPolicy, plural, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("reading %s of %s: %w", rollbackPolicy, plural, err)
	}
	return nil
}

// vouches returns nil if the API server has refused what the policy refuses
// since before the given time, which is in whole seconds.
func vouches(policy admissionv1.ValidatingAdmissionPolicy, binding admissionv1.ValidatingAdmissionPolicyBinding, before time.Time) error {
	demands := func(v admissionv1.Validation) bool { return v.Expression == rollbackValidation }
	optional := policy.Spec.FailurePolicy != nil && *policy.Spec.FailurePolicy != admissionv1.Fail ||
		len(policy.Spec.MatchConditions) > 0 || policy.Spec.ParamKind != nil // a parameter that is missing may mean yes
	switch {
	case !slices.ContainsFunc(policy.Spec.Validations, demands) || optional:
		return unvouched("the policy %s does not demand that %s", rollbackPolicy, rollbackValidation)
	case !matchesRollbacks(policy.Spec.MatchConstraints):
		return unvouched("the policy %s does not look at every rollback that is made", rollbackPolicy)
	case binding.Spec.PolicyName != rollbackPolicy || !slices.Contains(binding.Spec.ValidationActions, admissionv1.Deny) || binding.Spec.MatchResources != nil:
		return unvouched("the binding of the policy %s does not deny everywhere", rollbackPolicy)
	}
	for _, made := range []metav1.Time{policy.CreationTimestamp, binding.CreationTimestamp} {
		if !made.Time.Before(before) {
			return unvouched("it was asked for before the policy %s was there; ask again", rollbackPolicy)
		}
	}
	return nil
}

// matchesRollbacks reports whether a policy is asked about every Rollback that is
// made. The API server adds selectors that match everything, which are empty.
func matchesRollbacks(m *admissionv1.MatchResources) bool {
	everything := func(s *metav1.LabelSelector) bool {
		return s == nil || len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0
	}
	if m == nil || len(m.ExcludeResourceRules) > 0 || !everything(m.NamespaceSelector) || !everything(m.ObjectSelector) {
		return false
	}
	return slices.ContainsFunc(m.ResourceRules, func(r admissionv1.NamedRuleWithOperations) bool {
		has := func(all []string, one string) bool { return slices.Contains(all, one) || slices.Contains(all, "*") }
		made := slices.Contains(r.Operations, admissionv1.Create) || slices.Contains(r.Operations, admissionv1.OperationAll)
		anywhere := r.Scope == nil || *r.Scope == admissionv1.AllScopes || *r.Scope == admissionv1.NamespacedScope
		return made && anywhere && len(r.ResourceNames) == 0 && has(r.APIGroups, v1alpha1.Group) &&
			has(r.APIVersions, v1alpha1.Version) && has(r.Resources, v1alpha1.Rollbacks)
	})
}

func unvouched(format string, args ...any) error {
	return fmt.Errorf("%w: %s (the platform owner installs deploy/admission.yaml)", agent.ErrUnvouched, fmt.Sprintf(format, args...))
}
