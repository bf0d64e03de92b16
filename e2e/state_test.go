package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// state is what is wrong with what the cluster has of a line: it has to be what
// the newest good release made, whatever strangers did, and nothing else; beside
// what the newest release left when it failed, where that is kept.
func (l *ledger) state(ctx context.Context, line *line, releases []release) []string {
	var good, left *release
	for i, r := range releases {
		if r.Status.Phase == "Succeeded" {
			good = &releases[i]
		}
	}
	if good == nil {
		return nil // what a first release leaves is its evidence
	}
	if newest := &releases[len(releases)-1]; newest.leftAsItFailed(line) {
		left = newest
	}
	var found []string
	kept := kept(releases, good, left)
	for kind, resource := range renderedResources() {
		list, err := l.team.client.Resource(resource).Namespace(line.namespace).List(ctx, metav1.ListOptions{LabelSelector: "inhaul.dev/app=" + line.app})
		if err != nil {
			return append(found, fmt.Sprintf("%s: listing: %v", line, err))
		}
		there := map[string]bool{}
		for _, o := range list.Items {
			there[o.GetName()] = true
			if !kept[kind+" "+o.GetName()] {
				found = append(found, fmt.Sprintf("%s: %s %s is left over", line, kind, o.GetName()))
			}
			if kind == "Deployment" {
				found = append(found, line.differs(&o, releases, good, left)...)
			}
		}
		for _, r := range []*release{good, left} {
			for name := range r.made(kind) {
				if !there[name] && kind != "Job" {
					found = append(found, fmt.Sprintf("%s: %s %s of release %d is missing", line, kind, name, r.Spec.Number))
				}
			}
		}
		if kind == "Deployment" && len(list.Items) == 0 {
			found = append(found, line.String()+": it has no Deployment")
		}
	}
	return found
}

// kept are the objects that may be there.
func kept(releases []release, good, left *release) map[string]bool {
	kept := map[string]bool{}
	for _, r := range releases {
		whole := r.Spec.Number == good.Spec.Number || left != nil && r.Spec.Number == left.Spec.Number
		for _, o := range r.Status.Inventory {
			config := !r.gone && (o.Kind == "ConfigMap" || o.Kind == "Secret" || o.Kind == "Job")
			kept[o.Kind+" "+o.Name] = kept[o.Kind+" "+o.Name] || config || whole
		}
	}
	return kept
}

// made are the names of the objects of a kind that r has made; none of nil.
func (r *release) made(kind string) map[string]bool {
	names := map[string]bool{}
	if r != nil {
		for _, o := range r.Status.Inventory {
			if o.Kind == kind {
				names[o.Name] = true
			}
		}
	}
	return names
}

// differs is in what a Deployment is not as its release has it: that which failed
// and is kept, or the good one; what the former did not write may still be of one
// that failed before it.
func (line *line) differs(o *unstructured.Unstructured, releases []release, good, left *release) []string {
	may := []*release{good}
	switch name := o.GetName(); {
	case left.made("Deployment")[name]:
		may = []*release{left}
	case left != nil:
		for i := range releases {
			if r := &releases[i]; r.Spec.Number > good.Spec.Number && r.made("Deployment")[name] {
				may = append(may, r)
			}
		}
	}
	var d struct {
		Spec struct {
			Replicas int
			Template struct {
				Spec struct{ Containers []struct{ Image string } }
			}
		}
	}
	if err := decode(o.Object, &d); err != nil {
		return []string{fmt.Sprintf("%s: reading Deployment %s: %v", line, o.GetName(), err)}
	}
	commit, image := o.GetAnnotations()["inhaul.dev/commit"], ""
	for _, c := range d.Spec.Template.Spec.Containers {
		image += c.Image
	}
	if d.Spec.Replicas == 1 && slices.ContainsFunc(may, func(r *release) bool { return commit == r.Spec.Source.Commit && image == r.Spec.Image }) {
		return nil
	}
	return []string{fmt.Sprintf("%s: %s has commit %s, %d replicas of %s, want %s and 1 of %s, of release %d", line, o.GetName(), strings.TrimLeft(commit, "0"),
		d.Spec.Replicas, image, strings.TrimLeft(may[0].Spec.Source.Commit, "0"), may[0].Spec.Image, may[0].Spec.Number)}
}

// renderedResources are the kinds that the pushes of a team have objects of.
func renderedResources() map[string]schema.GroupVersionResource {
	return map[string]schema.GroupVersionResource{
		"Deployment": deploymentResource, "Job": jobResource,
		"ConfigMap":           {Version: "v1", Resource: "configmaps"},
		"Secret":              {Version: "v1", Resource: "secrets"},
		"Service":             {Version: "v1", Resource: "services"},
		"PodDisruptionBudget": {Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"},
		"NetworkPolicy":       {Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	}
}
