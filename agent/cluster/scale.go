package cluster

import (
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
)

// keepScale lets u, a Deployment whose number of pods follows the load, go on
// with the number that it has now, within its bounds: a release takes no pods
// from a busy service. The number is the cache's; an autoscaler that changes it
// within these milliseconds changes it again at its next look.
func keepScale(u *unstructured.Unstructured, live *appsv1.Deployment) error {
	low, high, scaled := scaleBounds(u)
	if !scaled || live == nil || live.Spec.Replicas == nil {
		return nil
	}
	return unstructured.SetNestedField(u.Object, min(max(int64(*live.Spec.Replicas), low), high), "spec", "replicas")
}

// scaleBounds reads between which numbers of pods a Deployment may be scaled.
func scaleBounds(u metav1.Object) (low, high int64, scaled bool) {
	from, to, _ := strings.Cut(u.GetAnnotations()[render.AnnotationScale], "-")
	low, errLow := strconv.ParseInt(from, 10, 32)
	high, errHigh := strconv.ParseInt(to, 10, 32)
	return low, high, errLow == nil && errHigh == nil
}

// staleScalers are the autoscalers in the inventories of a line's releases that
// the objects which are about to be written do not have. They go before anything
// is written, although all else goes last: one that is left would keep scaling a
// Deployment that now has a fixed number of pods, or another autoscaler. There is
// nothing in them that putting the old release back would not bring back.
func staleScalers(recorded, current []agent.Object) []agent.Object {
	var stale []agent.Object
	for _, o := range recorded {
		scaler := o.Kind == "HorizontalPodAutoscaler" || o.Kind == "ScaledObject"
		if scaler && !slices.Contains(current, o) && !slices.Contains(stale, o) {
			stale = append(stale, o)
		}
	}
	return stale
}
