package cluster

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/inhaul/inhaul/agent/render"
)

// object is any Kubernetes object.
type object interface {
	metav1.Object
	runtime.Object
}

// resource is one kind that the agent deals with.
type resource struct {
	kind   string
	plural string
	client rest.Interface
	empty  func() object
	keep   string // label selector of what the cache keeps; empty: there is no cache of the kind
}

// ours selects what Inhaul has made, and what controllers make of it.
const ours = render.LabelManagedBy + "=" + render.Manager

// resources are the kinds that carry the labels of package render, in every
// namespace: what is rendered, and what controllers make of it.
//
// A cache is kept of what verdicts are made from and of what most releases have.
// The rest is read when a release that has it is written: an autoscaler's status
// changes four times a minute for as long as it lives, a job's at every run, and
// a cache would take all that in for a look at each deploy; of these, metadata
// alone is watched (see glance). Of Jobs, those of tasks are kept and not the
// many that are made by schedules. What is in a Secret is never kept.
func (c clients) resources() []resource {
	core, apps := c.core.RESTClient(), c.apps.RESTClient()
	all := []resource{
		{"ConfigMap", "configmaps", core, func() object { return &corev1.ConfigMap{} }, ours},
		{"Secret", "secrets", core, func() object { return &corev1.Secret{} }, ""},
		{"Service", "services", core, func() object { return &corev1.Service{} }, ours},
		{"Pod", "pods", core, func() object { return &corev1.Pod{} }, ours},
		{"Deployment", "deployments", apps, func() object { return &appsv1.Deployment{} }, ours},
		{"ReplicaSet", "replicasets", apps, func() object { return &appsv1.ReplicaSet{} }, ours},
		{"Job", "jobs", c.batch.RESTClient(), func() object { return &batchv1.Job{} }, ours + "," + render.LabelTask},
		{"PodDisruptionBudget", "poddisruptionbudgets", c.policy.RESTClient(), func() object { return &policyv1.PodDisruptionBudget{} }, ours},
		{"NetworkPolicy", "networkpolicies", c.networking.RESTClient(), func() object { return &networkingv1.NetworkPolicy{} }, ours},
		{"EndpointSlice", "endpointslices", c.discovery.RESTClient(), func() object { return &discoveryv1.EndpointSlice{} }, ours},
	}
	plurals := map[string]string{
		"CronJob": "cronjobs", "HorizontalPodAutoscaler": "horizontalpodautoscalers", "Ingress": "ingresses",
		"HTTPRoute": "httproutes", "ScaledObject": "scaledobjects", "TriggerAuthentication": "triggerauthentications",
	}
	for _, gvk := range render.Allowed() {
		if plural, untyped := plurals[gvk.Kind]; untyped {
			all = append(all, resource{gvk.Kind, plural, c.untyped[gvk.GroupVersion()], func() object { return emptyOf(gvk) }, ""})
		}
	}
	return all
}

func emptyOf(gvk schema.GroupVersionKind) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(gvk)
	return u
}

// resource returns how to reach the kind of an object that a release can have.
func (c *Client) resource(kind string) (resource, bool) {
	if !slices.ContainsFunc(render.Allowed(), func(gvk schema.GroupVersionKind) bool { return gvk.Kind == kind }) {
		return resource{}, false
	}
	i := slices.IndexFunc(c.resources, func(r resource) bool { return r.kind == kind })
	if i < 0 {
		return resource{}, false
	}
	return c.resources[i], true
}
