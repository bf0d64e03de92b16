package render

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/inhaul/inhaul/spec"
)

// errNoKEDA says what to do where nothing can look at a queue.
var errNoKEDA = errors.New("scale.queue needs KEDA, which this cluster does not have: install it (https://keda.sh) or scale by cpu")

// trigger is one thing that KEDA scales by. What is not a secret stands in
// metadata; what is, and who KEDA is to the queue's server, in authentication,
// the spec of a TriggerAuthentication; nil if there is nothing of that.
type trigger struct {
	kind           string
	metricType     string
	metadata       map[string]any
	authentication map[string]any
}

// scaleByQueue hands the number of pods to KEDA, which makes the
// HorizontalPodAutoscaler itself.
func (s service) scaleByQueue(made set) error {
	if !s.platform.KEDA {
		return errNoKEDA
	}
	queue, err := s.queueTrigger()
	if err != nil {
		return fmt.Errorf("scale.queue: %w", err)
	}
	triggers := []trigger{queue}
	for _, u := range s.utilizations() {
		triggers = append(triggers, trigger{
			kind: string(u.resource), metricType: "Utilization", metadata: map[string]any{"value": strconv.Itoa(u.percent)},
		})
	}
	behaviour, err := runtime.DefaultUnstructuredConverter.ToUnstructured(scaleBehaviour())
	if err != nil {
		return fmt.Errorf("rendering ScaledObject: %w", err)
	}
	var all []any
	for _, t := range triggers {
		one := map[string]any{"type": t.kind, "metadata": t.metadata}
		if t.metricType != "" {
			one["metricType"] = t.metricType
		}
		if t.authentication != nil {
			one["authenticationRef"] = map[string]any{"name": s.object}
			made.add("TriggerAuthentication", custom(s.meta(s.object), t.authentication))
		}
		all = append(all, one)
	}
	meta := s.meta(s.object)
	// KEDA's autoscaler would get every label of the ScaledObject, and so claim to
	// be Inhaul's.
	meta.Annotations = map[string]string{"scaledobject.keda.sh/hpa-excluded-labels": LabelManagedBy}
	if s.release.Asleep {
		meta.Annotations["autoscaling.keda.sh/paused-replicas"] = "0" // https://keda.sh/docs/latest/concepts/scaling-deployments/#pausing-autoscaling
	}
	made.add("ScaledObject", custom(meta, map[string]any{
		"scaleTargetRef":  map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": s.object},
		"minReplicaCount": int64(s.Scale.Min),
		"maxReplicaCount": int64(s.Scale.Max),
		"advanced":        map[string]any{"horizontalPodAutoscalerConfig": map[string]any{"behavior": behaviour}},
		"triggers":        all,
	}))
	return nil
}

// queueTrigger looks at the service's queue as KEDA's scaler of its type wants:
// https://keda.sh/docs/latest/scalers/.
func (s service) queueTrigger() (trigger, error) {
	queue := s.Scale.Queue
	length := strconv.Itoa(cmp.Or(queue.Length, spec.DefaultQueueLength))
	value, plain := s.Env[queue.From]
	if queue.From != "" && !plain && !s.secretVariable(queue.From) {
		return trigger{}, fmt.Errorf("variable %q is neither in env nor in secrets of the service", queue.From)
	}
	switch queue.Type {
	case queueRedis:
		t := trigger{kind: "redis", metadata: map[string]any{"listName": queue.Name, "listLength": length}}
		if !plain {
			return s.authenticated(t, "address", "username", "password", "tls")
		}
		return t, redisMetadata(t.metadata, value)
	case queueRabbitMQ:
		return trigger{kind: "rabbitmq", metadata: map[string]any{
			"hostFromEnv": queue.From, "queueName": queue.Name, "mode": "QueueLength", "value": length,
		}}, nil
	case queueSQS:
		return s.sqsTrigger(length)
	}
	return trigger{}, fmt.Errorf("unknown type %q, want redis, sqs or rabbitmq", queue.Type)
}

// sqsTrigger looks at a queue of SQS as KEDA's own role, which has to be allowed
// sqs:GetQueueAttributes.
func (s service) sqsTrigger(length string) (trigger, error) {
	queue := s.Scale.Queue
	t := trigger{kind: "aws-sqs-queue", metadata: map[string]any{"queueLength": length}}
	t.authentication = map[string]any{"podIdentity": map[string]any{"provider": "aws"}}
	url := queue.Name
	if queue.From == "" {
		t.metadata["queueURL"] = queue.Name
	} else {
		t.metadata["queueURLFromEnv"] = queue.From
		value, plain := s.Env[queue.From]
		if !plain {
			return s.authenticated(t, "awsRegion")
		}
		url = value
	}
	region, err := sqsRegion(url)
	t.metadata["awsRegion"] = region
	return t, err
}

// authenticated makes KEDA read parameters from the Secret of the service's
// queue, where Holder.Data put them.
func (s service) authenticated(t trigger, parameters ...string) (trigger, error) {
	secret := s.platform.Secrets[queueHolder(s.Name)]
	if secret == "" {
		return trigger{}, fmt.Errorf("variable %q is secret, and there is no Secret with its parts", s.Scale.Queue.From)
	}
	var references []any
	for _, parameter := range parameters {
		references = append(references, map[string]any{"parameter": parameter, "name": secret, "key": parameter})
	}
	if t.authentication == nil {
		t.authentication = map[string]any{}
	}
	t.authentication["secretTargetRef"] = references
	return t, nil
}
