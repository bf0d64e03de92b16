// Package v1alpha1 holds the custom resources of Inhaul: App, the platform
// owner's word on one app; Release, the durable record of one admitted intent;
// Rollback, a request to go back that is made in the cluster itself; and Preview, the
// record of the environment of a pull request. The CustomResourceDefinitions in
// deploy/crds are generated from it:
//
//	controller-gen object crd paths=./api/... output:crd:dir=deploy/crds
//
// +kubebuilder:object:generate=true
// +groupName=inhaul.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The API group and its resources.
const (
	Group     = "inhaul.dev"
	Version   = "v1alpha1"
	Apps      = "apps"
	Releases  = "releases"
	Rollbacks = "rollbacks"
	Previews  = "previews"
)

// GroupVersion is the group and version of every type in this package.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: Group, Version: Version}
}

// AddToScheme makes scheme know the types of this package.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion(), &App{}, &AppList{}, &Release{}, &ReleaseList{}, &Rollback{}, &RollbackList{}, &Preview{}, &PreviewList{})
	metav1.AddToGroupVersion(scheme, GroupVersion())
	return nil
}
