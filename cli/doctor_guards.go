package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
)

const (
	// agentAccount is the agent's ServiceAccount, see deploy/agent.yaml.
	agentAccount = "inhaul-agent"
	// previewsRole is the agent's role for previews, and its binding, see deploy/rbac.yaml.
	previewsRole = "inhaul-agent-previews"
)

// policies are about what the API server refuses, to the agent and to who wakes.
func (d doctor) policies(ctx context.Context) ([]finding, error) {
	const group = "apis/admissionregistration.k8s.io/v1/validatingadmissionpolic"
	var findings []finding
	for _, p := range []struct{ name, file string }{{"inhaul-namespace", "deploy/preview-admission.yaml"}, {"inhaul-preview", "deploy/preview-wake.yaml"}} {
		check := "admission policy " + p.name
		var policy struct {
			Spec struct {
				FailurePolicy string `json:"failurePolicy"`
			} `json:"spec"`
		}
		var binding struct {
			Spec struct {
				PolicyName        string   `json:"policyName"`
				ValidationActions []string `json:"validationActions"`
			} `json:"spec"`
		}
		next := "kubectl apply -f " + p.file
		policyMissing, err := d.missing(ctx, group+"ies/"+p.name, &policy)
		if err == nil && !policyMissing {
			var none bool
			if none, err = d.missing(ctx, group+"ybindings/"+p.name, &binding); none {
				findings = append(findings, finding{check, unwell, "it is not bound, so nothing is refused", next})
				continue
			}
		}
		switch {
		case unseen(err):
			findings = append(findings, finding{check, unknown, "you may not read it", ""})
		case err != nil:
			return nil, fmt.Errorf("reading %s: %w", check, err)
		case policyMissing:
			findings = append(findings, finding{check, unwell, "it is not there", next})
		case binding.Spec.PolicyName != p.name || !slices.Contains(binding.Spec.ValidationActions, "Deny") || policy.Spec.FailurePolicy == "Ignore":
			findings = append(findings, finding{check, unwell, "somebody has changed it: it does not refuse", next})
		default:
			findings = append(findings, finding{check, fine, "it is there and bound", ""})
		}
	}
	return findings, nil
}

// missing reads an object, and reports whether it is not there.
func (d doctor) missing(ctx context.Context, path string, into any) (bool, error) {
	err := d.read(ctx, path, into)
	if errors.Is(err, ErrNotFound) {
		return true, nil
	}
	return false, err
}

// role is about the agent's right to make previews.
func (d doctor) role(ctx context.Context) ([]finding, error) {
	const check, rbac, next = "role " + previewsRole, "apis/rbac.authorization.k8s.io/v1/clusterrole", "the agent makes no preview without it: kubectl apply -f deploy/rbac.yaml"
	var role struct{}
	var binding struct {
		RoleRef struct {
			Name string `json:"name"`
		} `json:"roleRef"`
		Subjects []struct {
			Kind      string `json:"kind"`
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"subjects"`
	}
	noRole, err := d.missing(ctx, rbac+"s/"+previewsRole, &role)
	noBinding := false
	if err == nil {
		noBinding, err = d.missing(ctx, rbac+"bindings/"+previewsRole, &binding)
	}
	bound := false
	for _, s := range binding.Subjects {
		bound = bound || s.Kind == "ServiceAccount" && s.Name == agentAccount && s.Namespace == d.agent
	}
	switch {
	case unseen(err):
		return []finding{{check, unknown, "you may not read cluster roles", ""}}, nil
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", check, err)
	case noRole:
		return []finding{{check, unwell, "it is not there", next}}, nil
	case noBinding:
		return []finding{{check, unwell, "it is not bound", next}}, nil
	case !bound || binding.RoleRef.Name != previewsRole:
		return []finding{{check, unwell, fmt.Sprintf("it is not bound to ServiceAccount %s of namespace %s", agentAccount, d.agent), next}}, nil
	}
	return []finding{{check, fine, "the agent has it", ""}}, nil
}

// rails are the guard rails of each preview's namespace.
func (d doctor) rails(ctx context.Context, apps []patientApp, there []patientPreview) ([]finding, error) {
	open := map[string]bool{}
	for _, a := range apps {
		open[a.Metadata.Name] = a.Spec.Previews != nil && a.Spec.Previews.Egress.Open
	}
	var findings []finding
	for _, rail := range []struct{ check, path, next string }{
		{"quota of each preview", "api/v1/namespaces/%s/resourcequotas/" + previewQuota, "its pods can take the cluster's all"},
		{"limits of each preview", "api/v1/namespaces/%s/limitranges/" + previewQuota, "pods that request nothing do not fit the quota"},
		{"walls of each preview", "apis/networking.k8s.io/v1/namespaces/%s/networkpolicies/" + previewQuota, "its pods may reach production"},
	} {
		var wrong []string
		hidden := 0
		for _, p := range there {
			var object struct {
				Spec struct {
					PolicyTypes []string `json:"policyTypes"`
				} `json:"spec"`
			}
			missing, err := d.missing(ctx, fmt.Sprintf(rail.path, url.PathEscape(p.Status.Namespace)), &object)
			walls := rail.check == "walls of each preview"
			switch {
			case unseen(err):
				hidden++
			case err != nil:
				return nil, fmt.Errorf("reading %s: %w", rail.check, err)
			case missing:
				wrong = append(wrong, p.Status.Namespace+" has none")
			case walls && !open[p.Spec.App] && !slices.Contains(object.Spec.PolicyTypes, "Egress"):
				wrong = append(wrong, p.Status.Namespace+" lets everything out")
			case walls && !slices.Contains(object.Spec.PolicyTypes, "Ingress"):
				wrong = append(wrong, p.Status.Namespace+" lets everything in")
			}
		}
		switch {
		case len(there) == 0:
			findings = append(findings, finding{rail.check, unknown, "there is no preview", ""})
		case len(wrong) == 0 && hidden > 0:
			findings = append(findings, finding{rail.check, unknown, fmt.Sprintf("you may not read it in %d of %d namespaces", hidden, len(there)), ""})
		default:
			findings = append(findings, judge(rail.check, fmt.Sprintf("%d of %d have inhaul-preview", len(there), len(there)), wrong,
				rail.next+"; the agent puts it up again within ten minutes: if it does not, look at its log"))
		}
	}
	return findings, nil
}
