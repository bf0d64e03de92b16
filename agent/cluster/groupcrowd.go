package cluster

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
)

// address is what a public service answers to.
type address struct{ host, path string }

// crowded refuses objects of r that would answer to the same host and path as those
// of another app of its group: which of them got a request would be chance.
func (c *Client) crowded(ctx context.Context, r agent.Release, objects []*unstructured.Unstructured) error {
	if p, _ := c.Preview(r.Line); p.Group == "" {
		return nil
	}
	for _, kind := range []string{"Ingress", "HTTPRoute"} {
		ours := map[address]*unstructured.Unstructured{}
		for _, u := range objects {
			if u.GetKind() == kind {
				for _, a := range addresses(u) {
					ours[a] = u
				}
			}
		}
		if len(ours) == 0 {
			continue
		}
		there, err := c.routes(ctx, kind, r.Namespace)
		if err != nil {
			return err
		}
		for _, other := range there {
			by := other.GetLabels()[render.LabelApp]
			for _, a := range addresses(&other) {
				if u := ours[a]; u != nil && by != render.Label(r.Line.App) {
					service := u.GetLabels()[render.LabelService]
					return &agent.Rejected{
						Object:  reference(u),
						Message: fmt.Sprintf("%s of host %s is that of app %q of the same group already: give service %q other paths in inhaul.yaml, or the platform owner gives one of the Apps another spec.previews.host", a.path, a.host, by, service),
						Setting: "services." + service + ".paths",
					}
				}
			}
		}
	}
	return nil
}

// routes are the objects of a kind that lets traffic in, of all apps of a namespace.
func (c *Client) routes(ctx context.Context, kind, namespace string) ([]unstructured.Unstructured, error) {
	r, ok := c.resource(kind)
	if !ok {
		return nil, nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	list := &unstructured.UnstructuredList{}
	err := r.client.Get().Namespace(namespace).Resource(r.plural).
		SpecificallyVersionedParams(&metav1.ListOptions{LabelSelector: ours}, scheme.ParameterCodec, metaVersion()).Do(ctx).Into(list)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing %s of namespace %s: %w", r.plural, namespace, err)
	}
	return list.Items, nil
}

// addresses are what an Ingress or an HTTPRoute lets in, as package render makes it.
func addresses(u *unstructured.Unstructured) []address {
	var all []address
	rules, _, _ := unstructured.NestedSlice(u.Object, "spec", "rules")
	hosts, _, _ := unstructured.NestedStringSlice(u.Object, "spec", "hostnames")
	for _, rule := range rules {
		fields, _ := rule.(map[string]any)
		if host, _, _ := unstructured.NestedString(fields, "host"); host != "" {
			paths, _, _ := unstructured.NestedSlice(fields, "http", "paths")
			for _, path := range paths {
				path, _ := path.(map[string]any)
				at, _, _ := unstructured.NestedString(path, "path")
				all = append(all, address{host, at})
			}
		}
		matches, _, _ := unstructured.NestedSlice(fields, "matches")
		for _, match := range matches {
			match, _ := match.(map[string]any)
			at, _, _ := unstructured.NestedString(match, "path", "value")
			for _, host := range hosts {
				all = append(all, address{host, at})
			}
		}
	}
	return all
}
