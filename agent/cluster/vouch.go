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
	optional := policy.Spec.FailurePolicy != nil && *policy.Spec.FailurePolicy != admissionv1.Fail
	switch {
	case !slices.ContainsFunc(policy.Spec.Validations, demands) || optional || len(policy.Spec.MatchConditions) > 0:
		return unvouched("the policy %s does not demand that %s", rollbackPolicy, rollbackValidation)
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

func unvouched(format string, args ...any) error {
	return fmt.Errorf("%w: %s (the platform owner installs deploy/admission.yaml)", agent.ErrUnvouched, fmt.Sprintf(format, args...))
}
