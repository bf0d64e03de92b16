// Package render turns a release into the Kubernetes objects that run it.
//
// Objects is pure: the same release gives the same objects, byte for byte. It
// can only make the kinds that Allowed lists, all of them in the release's
// namespace, so no intent can ever make a ClusterRole, a privileged pod or a
// volume of the host.
//
// What changes with every release (its number and commit) stands in annotations
// of the Deployment's own metadata. The pod template changes with its content
// alone, so that a service which a release does not change does not roll.
package render

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/spec"
)

// Manager is the value of the managed-by label of everything that Inhaul makes,
// and its field manager in server-side apply.
const Manager = "inhaul"

// The labels on every object, pod and namespace.
const (
	LabelManagedBy   = "app.kubernetes.io/managed-by"
	LabelName        = "app.kubernetes.io/name"
	LabelPartOf      = "app.kubernetes.io/part-of"
	LabelApp         = "inhaul.dev/app"
	LabelService     = "inhaul.dev/service"
	LabelEnvironment = "inhaul.dev/environment"
)

// The annotations. AnnotationRelease and AnnotationCommit are on Deployments
// only; the Deployment controller copies them to the ReplicaSet that belongs to
// the template, which is how that ReplicaSet is told from older ones.
const (
	AnnotationRelease = "inhaul.dev/release"
	AnnotationCommit  = "inhaul.dev/commit"
	AnnotationService = "inhaul.dev/service-name" // the service's name as inhaul.yaml has it
)

// PortName is the name of a web service's port.
const PortName = "http"

// Allowed lists the kinds that a release can have, in the order in which they
// are written: a Deployment last, when everything it needs is there.
func Allowed() []schema.GroupVersionKind {
	return []schema.GroupVersionKind{
		{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"},
		{Version: "v1", Kind: "ConfigMap"},
		{Version: "v1", Kind: "Service"},
		{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"},
		{Group: "apps", Version: "v1", Kind: "Deployment"},
	}
}

// Objects returns the objects of r in the order of Allowed, ready for
// server-side apply: they hold nothing but what is meant. It fails when two
// services would share a name, or when a quantity cannot be read.
func Objects(r agent.Release) ([]*unstructured.Unstructured, error) {
	services, err := services(r)
	if err != nil {
		return nil, err
	}
	made := map[string][]runtime.Object{}
	add := func(kind string, object runtime.Object) { made[kind] = append(made[kind], object) }
	add("NetworkPolicy", defaultPolicy(r))
	for _, s := range services {
		deployment, err := s.deployment()
		if err != nil {
			return nil, fmt.Errorf("service %q: %w", s.Name, err)
		}
		add("Deployment", deployment)
		if len(s.Env) > 0 {
			add("ConfigMap", s.configMap())
		}
		if s.Type == spec.Web {
			add("NetworkPolicy", s.webPolicy())
			add("Service", s.service())
		}
		if s.Replicas >= 2 {
			add("PodDisruptionBudget", s.disruptionBudget())
		}
	}
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
	unstructured.RemoveNestedField(content, "metadata", "creationTimestamp")
	unstructured.RemoveNestedField(content, "spec", "template", "metadata", "creationTimestamp")
	return u, nil
}

// service is one service of a release, under the name of its objects.
type service struct {
	spec.Service
	release agent.Release
	object  string
}

// services names every service of r, and refuses two that would share a name.
func services(r agent.Release) ([]service, error) {
	taken := map[string]string{}
	all := make([]service, 0, len(r.App.Services))
	for _, s := range r.App.Services {
		object := Name(r.Line.App, s.Name)
		if other, ok := taken[object]; ok {
			return nil, fmt.Errorf("services %q and %q would both be named %q: rename one", other, s.Name, object)
		}
		taken[object] = s.Name
		all = append(all, service{Service: s, release: r, object: object})
	}
	return all, nil
}

// meta is the metadata of an object of the service.
func (s service) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: s.release.Namespace, Labels: s.labels()}
}

func (s service) labels() map[string]string {
	labels := appLabels(s.release)
	labels[LabelName] = label(s.Name)
	labels[LabelService] = label(s.Name)
	return labels
}

// selector never changes over the life of a Deployment: the API server would
// refuse it.
func (s service) selector() map[string]string {
	return map[string]string{LabelApp: label(s.release.Line.App), LabelService: label(s.Name)}
}

func appLabels(r agent.Release) map[string]string {
	return map[string]string{
		LabelManagedBy:   Manager,
		LabelPartOf:      label(r.Line.App),
		LabelApp:         label(r.Line.App),
		LabelEnvironment: label(r.Line.Environment),
	}
}

// releaseAnnotations say which release wrote the Deployment.
func (s service) releaseAnnotations() map[string]string {
	annotations := map[string]string{
		AnnotationRelease: strconv.Itoa(s.release.Number),
		AnnotationService: s.Name,
	}
	if s.release.Source.Commit != "" {
		annotations[AnnotationCommit] = s.release.Source.Commit
	}
	return annotations
}

// NamespaceLabels are the labels of the namespace of r.
//
// The warn level of Pod Security makes kubectl and the agent's log tell what a
// hardened cluster would refuse; it refuses nothing.
func NamespaceLabels(r agent.Release) map[string]string {
	return map[string]string{
		LabelManagedBy:                    Manager,
		LabelApp:                          label(r.Line.App),
		LabelEnvironment:                  label(r.Line.Environment),
		"pod-security.kubernetes.io/warn": "restricted",
	}
}

// containerName is the name of a service's one container.
func (s service) containerName() string { return label(s.Name) }

func (s service) environment() []corev1.EnvVar {
	if s.Type != spec.Web {
		return nil
	}
	return []corev1.EnvVar{{Name: "PORT", Value: strconv.Itoa(s.Port)}}
}
