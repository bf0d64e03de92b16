package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/dynamic"
	appsv1 "k8s.io/client-go/kubernetes/typed/apps/v1"
	batchv1 "k8s.io/client-go/kubernetes/typed/batch/v1"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	discoveryv1 "k8s.io/client-go/kubernetes/typed/discovery/v1"
	networkingv1 "k8s.io/client-go/kubernetes/typed/networking/v1"
	policyv1 "k8s.io/client-go/kubernetes/typed/policy/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

// How many requests the agent may send: enough for a burst of deploys, and far
// from what hurts an API server.
const (
	requestsPerSecond = 50
	requestBurst      = 100
)

// clients are the connections to the API groups that are used. They share one
// transport and one rate limit.
type clients struct {
	core       corev1.CoreV1Interface
	apps       appsv1.AppsV1Interface
	batch      batchv1.BatchV1Interface
	policy     policyv1.PolicyV1Interface
	networking networkingv1.NetworkingV1Interface
	discovery  discoveryv1.DiscoveryV1Interface
	leases     coordinationv1.CoordinationV1Interface
	metadata   metadata.Interface
	custom     rest.Interface
	codec      runtime.ParameterCodec                 // of custom
	untyped    map[schema.GroupVersion]rest.Interface // of every group that a release can have objects of
	fence      *fence                                 // around all of them
}

func connect(config *rest.Config) (clients, error) {
	config = rest.CopyConfig(config)
	c := clients{fence: &fence{now: time.Now}} //nolint:forbidigo // because New sets the one that it was given
	config.Wrap(c.fence.behind)
	config.UserAgent = "inhaul-agent"
	config.WarningHandlerWithContext = rest.NoWarnings{} // they come with every write; render's own tests keep to the levels
	config.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(requestsPerSecond, requestBurst)
	transport, err := rest.HTTPClientFor(config)
	if err != nil {
		return clients{}, err
	}
	if c.custom, c.codec, err = customClient(config); err != nil {
		return clients{}, err
	}
	if c.untyped, err = untypedClients(config, transport); err != nil {
		return clients{}, err
	}
	if c.metadata, err = metadata.NewForConfigAndClient(config, transport); err != nil {
		return clients{}, err
	}
	// Protobuf costs the API server less than JSON does; custom resources have none.
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	if c.core, err = corev1.NewForConfigAndClient(config, transport); err != nil {
		return clients{}, err
	}
	if c.apps, err = appsv1.NewForConfigAndClient(config, transport); err != nil {
		return clients{}, err
	}
	if c.batch, err = batchv1.NewForConfigAndClient(config, transport); err != nil {
		return clients{}, err
	}
	if c.policy, err = policyv1.NewForConfigAndClient(config, transport); err != nil {
		return clients{}, err
	}
	if c.networking, err = networkingv1.NewForConfigAndClient(config, transport); err != nil {
		return clients{}, err
	}
	if c.discovery, err = discoveryv1.NewForConfigAndClient(config, transport); err != nil {
		return clients{}, err
	}
	if c.leases, err = coordinationv1.NewForConfigAndClient(config, transport); err != nil {
		return clients{}, err
	}
	return c, nil
}

// customClient talks about the types of api/v1alpha1.
func customClient(config *rest.Config) (rest.Interface, runtime.ParameterCodec, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, nil, err
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"}) // Status and options
	config = rest.CopyConfig(config)
	version := v1alpha1.GroupVersion()
	config.GroupVersion = &version
	config.APIPath = "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(config)
	return client, runtime.NewParameterCodec(scheme), err
}

// untypedClients talk about objects as they stand, whatever their kind.
func untypedClients(config *rest.Config, transport *http.Client) (map[schema.GroupVersion]rest.Interface, error) {
	all := map[schema.GroupVersion]rest.Interface{}
	for _, gvk := range render.Allowed() {
		version := gvk.GroupVersion()
		if version.Group == "" || all[version] != nil {
			continue // the core group has another path, and typed clients
		}
		config := dynamic.ConfigFor(config)
		config.GroupVersion, config.APIPath = &version, "/apis"
		client, err := rest.RESTClientForConfigAndClient(config, transport)
		if err != nil {
			return nil, err
		}
		all[version] = client
	}
	return all, nil
}

// check asks the API server whether it knows the custom resources.
func (c clients) check(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var known metav1.APIResourceList
	data, err := c.custom.Get().AbsPath("/apis", v1alpha1.Group, v1alpha1.Version).Do(ctx).Raw()
	if err == nil {
		err = json.Unmarshal(data, &known)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("asking the API server for %s: %w", v1alpha1.GroupVersion(), err)
	}
	for _, plural := range []string{v1alpha1.Apps, v1alpha1.Releases, v1alpha1.Rollbacks, v1alpha1.Previews} {
		if !slices.ContainsFunc(known.APIResources, func(r metav1.APIResource) bool { return r.Name == plural }) {
			return fmt.Errorf("the cluster does not know the %s of %s: install the custom resources first (deploy/crds)", plural, v1alpha1.GroupVersion())
		}
	}
	return nil
}
