package cluster

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// sameContent reports whether two objects of one kind say the same: everything
// but what the API server and controllers write by themselves.
func sameContent(a, b object) bool {
	return equality.Semantic.DeepEqual(content(a), content(b))
}

// content is a copy of o without what changes by itself.
func content(o object) object {
	o, ok := o.DeepCopyObject().(object)
	if !ok {
		return nil // a copy has the type of its original
	}
	o.SetManagedFields(nil)
	o.SetResourceVersion("")
	o.SetGeneration(0)
	o.GetObjectKind().SetGroupVersionKind(o.GetObjectKind().GroupVersionKind().GroupVersion().WithKind(""))
	switch typed := o.(type) {
	case *unstructured.Unstructured:
		unstructured.RemoveNestedField(typed.Object, "status")
	case *appsv1.Deployment:
		typed.Status = appsv1.DeploymentStatus{}
	case *corev1.Service:
		typed.Status = corev1.ServiceStatus{}
	case *policyv1.PodDisruptionBudget:
		typed.Status = policyv1.PodDisruptionBudgetStatus{}
	}
	return o
}
