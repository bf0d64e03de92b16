// Package render turns a release into the Kubernetes objects that run it.
//
// Objects, Task and Databases are pure: the same release on the same platform gives
// the same objects, byte for byte. They can only make the kinds that Allowed
// lists, all of them in the release's namespace, so no intent can ever make a
// ClusterRole, a privileged pod or a volume of the host.
//
// What changes with every release (its number and commit) stands in annotations
// of the Deployment's own metadata. The pod template changes with its content
// alone, so that a service which a release does not change does not roll.
package render

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/spec"
)

// Platform is what the cluster offers a release beyond its own words.
type Platform struct {
	Routing agent.Routing
	KEDA    bool              // the cluster has ScaledObjects
	Gateway bool              // the cluster has HTTPRoutes
	Host    string            // of a preview's public services; see Platform.domains
	Secrets map[string]string // holder to the Secret that has its values; see Holders

	// Of a preview that has databases.
	Databases map[string]agent.DatabaseClass // what each is made of, by name; see agent.PreviewPolicy.Class
	Preview   string                         // UID of the preview
	CloneFrom string                         // namespace of the Jobs that fill databases; empty: there are none
}

// Allowed lists the kinds that a release can have, in the order in which they
// are written: a Deployment when everything it needs is there, and after it what
// acts on it, because KEDA refuses a ScaledObject of a Deployment that does not
// exist. A Secret is never rendered, for a release has references alone: whoever
// applies the release makes it from them.
func Allowed() []schema.GroupVersionKind {
	return []schema.GroupVersionKind{
		{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"},
		{Version: "v1", Kind: "ConfigMap"},
		{Version: "v1", Kind: "Secret"},
		{Group: "batch", Version: "v1", Kind: "Job"},
		{Version: "v1", Kind: "Service"},
		{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"},
		{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"},
		{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"},
		{Group: "apps", Version: "v1", Kind: "Deployment"},
		{Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"},
		{Group: "keda.sh", Version: "v1alpha1", Kind: "TriggerAuthentication"},
		{Group: "keda.sh", Version: "v1alpha1", Kind: "ScaledObject"},
		{Group: "batch", Version: "v1", Kind: "CronJob"},
	}
}

// Objects returns the objects of r but those of its tasks and databases, in the order of
// Allowed, ready for server-side apply: they hold nothing but what is meant. It
// fails when two of them would share a name, when a quantity cannot be read, and
// when r needs what the platform does not have.
func Objects(r agent.Release, p Platform) ([]*unstructured.Unstructured, error) {
	services, err := services(r, p)
	if err != nil {
		return nil, err
	}
	made := set{}
	made.add("NetworkPolicy", defaultPolicy(r))
	for _, s := range services {
		if err := s.render(made); err != nil {
			return nil, fmt.Errorf("service %q: %w", s.Name, err)
		}
	}
	return made.objects()
}

// render adds the objects of the service to made.
func (s service) render(made set) error {
	if len(s.Env) > 0 {
		made.add("ConfigMap", s.configMap())
	}
	if s.Type == spec.Job {
		job, err := s.cronJob()
		if err != nil {
			return err
		}
		made.add("CronJob", job)
	} else {
		deployment, err := s.deployment()
		if err != nil {
			return err
		}
		made.add("Deployment", deployment)
	}
	if s.Type == spec.Web {
		made.add("Service", s.service())
	}
	if s.severalPods() {
		made.add("PodDisruptionBudget", s.disruptionBudget())
	}
	if policy := s.policy(); policy != nil {
		made.add("NetworkPolicy", policy)
	}
	if err := s.route(made); err != nil {
		return err
	}
	return s.autoscale(made)
}

// set is what is made of a release, by kind.
type set map[string][]runtime.Object

func (made set) add(kind string, object runtime.Object) { made[kind] = append(made[kind], object) }

// objects returns what is in the set in the order of Allowed.
func (made set) objects() ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, gvk := range Allowed() {
		for _, object := range made[gvk.Kind] {
			u, err := plain(object, gvk)
			if err != nil {
				return nil, err
			}
			objects = append(objects, u)
		}
	}
	return objects, nil
}

// plain turns a typed object into exactly the fields that are meant: a typed
// object would also claim its zero status and creation time.
func plain(object runtime.Object, gvk schema.GroupVersionKind) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", gvk.Kind, err)
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(gvk)
	unstructured.RemoveNestedField(content, "status")
	for _, owner := range [][]string{{}, {"spec", "template"}, {"spec", "jobTemplate"}, {"spec", "jobTemplate", "spec", "template"}} {
		unstructured.RemoveNestedField(content, append(owner, "metadata", "creationTimestamp")...)
	}
	return u, nil
}

// custom is an object of a kind that has no Go type here.
func custom(meta metav1.ObjectMeta, wanted map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": wanted}}
	u.SetName(meta.Name)
	u.SetNamespace(meta.Namespace)
	u.SetLabels(meta.Labels)
	u.SetAnnotations(meta.Annotations)
	return u
}
