package render

import (
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/inhaul/inhaul/spec"
)

// How pods are taken away when the load is gone: after five quiet minutes, which
// is Kubernetes' own default, and at most half of them in a minute, so that a
// short lull costs little. Pods are added as fast as Kubernetes does by default.
const (
	scaleDownWindowSeconds = 300
	scaleDownPercent       = 50
	scaleDownPeriodSeconds = 60
)

// autoscale lets the number of pods follow the load.
func (s service) autoscale(made set) error {
	switch {
	case !s.Scale.Scales():
		return nil
	case s.Scale.Queue != spec.Queue{}:
		return s.scaleByQueue(made)
	case s.Scale.Min < 1:
		return fmt.Errorf("scale.min is %d: without a queue nothing starts the first pod, want at least 1", s.Scale.Min)
	}
	made.add("HorizontalPodAutoscaler", s.horizontal())
	return nil
}

func (s service) horizontal() *autoscalingv2.HorizontalPodAutoscaler {
	meta := s.meta(s.object)
	// Else KEDA refuses the ScaledObject of the first release that scales by a
	// queue: this one is still there then, for what is not needed goes last.
	meta.Annotations = map[string]string{"validations.keda.sh/hpa-ownership": "false"}
	hpa := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: meta,
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: s.object},
			MinReplicas:    new(int32(s.Scale.Min)), //nolint:gosec // because spec bounds it
			MaxReplicas:    int32(s.Scale.Max),      //nolint:gosec // because spec bounds it
			Behavior:       scaleBehaviour(),
		},
	}
	for _, target := range s.utilizations() {
		hpa.Spec.Metrics = append(hpa.Spec.Metrics, autoscalingv2.MetricSpec{
			Type: autoscalingv2.ResourceMetricSourceType,
			Resource: &autoscalingv2.ResourceMetricSource{
				Name: target.resource,
				Target: autoscalingv2.MetricTarget{
					Type:               autoscalingv2.UtilizationMetricType,
					AverageUtilization: new(int32(target.percent)), //nolint:gosec // because spec bounds it
				},
			},
		})
	}
	return hpa
}

func scaleBehaviour() *autoscalingv2.HorizontalPodAutoscalerBehavior {
	return &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: &autoscalingv2.HPAScalingRules{
		StabilizationWindowSeconds: new(int32(scaleDownWindowSeconds)),
		Policies: []autoscalingv2.HPAScalingPolicy{{
			Type: autoscalingv2.PercentScalingPolicy, Value: scaleDownPercent, PeriodSeconds: scaleDownPeriodSeconds,
		}},
	}}
}

// utilization is how much of a requested resource the pods are meant to use on
// average.
type utilization struct {
	resource corev1.ResourceName
	percent  int
}

// utilizations are those that the service is scaled by: CPU where it names
// nothing at all.
func (s service) utilizations() []utilization {
	var all []utilization
	if s.Scale.CPU > 0 {
		all = append(all, utilization{corev1.ResourceCPU, s.Scale.CPU})
	}
	if s.Scale.Memory > 0 {
		all = append(all, utilization{corev1.ResourceMemory, s.Scale.Memory})
	}
	if len(all) == 0 && (s.Scale.Queue == spec.Queue{}) {
		all = append(all, utilization{corev1.ResourceCPU, spec.DefaultScaleCPU})
	}
	return all
}
