package spec

import "fmt"

// ScaleSettings is what a file says of how many pods follow the load. Nil and
// empty mean: not said.
type ScaleSettings struct {
	Off    bool // an environment does without it
	Min    *int
	Max    *int
	CPU    *int
	Memory *int
	Queue  QueueSettings
}

// QueueSettings is what a file says of a queue.
type QueueSettings struct {
	Type   string
	Name   string
	From   string
	Length *int
}

// The kinds of queue.
const (
	queueRedis  = "redis"
	queueSQS    = "sqs"
	queueRabbit = "rabbitmq"

	maxQueueLength = 100_000
)

func scaleLevel() level[ScaleSettings] {
	return level[ScaleSettings]{"scale", "How many pods there are, by the load. Where it names nothing to scale by, that is CPU at " + fmt.Sprint(DefaultScaleCPU) + " %.", []key[ScaleSettings]{
		to("min", whole(0, maxReplicas), func(s *ScaleSettings) **int { return &s.Min }).
			says("Least number of pods. 0 only for a worker that scales by a queue alone.", fmt.Sprint(DefaultReplicas), "min: 2\nmax: 10"),
		to("max", whole(1, maxReplicas), func(s *ScaleSettings) **int { return &s.Max }).
			says("Greatest number of pods. It has to be said.", "", "max: 10"),
		to("cpu", whole(1, 100), func(s *ScaleSettings) **int { return &s.CPU }).
			says("Per cent of its CPU that a pod is meant to use, on average.", fmt.Sprintf("%d where nothing else is said", DefaultScaleCPU), "max: 10\ncpu: 60"),
		to("memory", whole(1, 100), func(s *ScaleSettings) **int { return &s.Memory }).
			says("Per cent of its memory that a pod is meant to use, on average.", "", "max: 10\nmemory: 80"),
		part("queue", queueLevel(), func(s *ScaleSettings) *QueueSettings { return &s.Queue }).
			says("A queue whose length decides. The cluster needs KEDA for it.", "", "max: 10\nqueue: {type: redis, name: jobs, from: REDIS_URL}"),
	}}
}

func queueLevel() level[QueueSettings] {
	return level[QueueSettings]{"queue", "A queue that a service scales by.", []key[QueueSettings]{
		to("type", oneOf(queueRedis, queueSQS, queueRabbit), func(q *QueueSettings) *string { return &q.Type }).
			says("A list of Redis, a queue of Amazon SQS or of RabbitMQ. It has to be said.", "", "type: redis\nname: jobs\nfrom: REDIS_URL"),
		to("name", text(), func(q *QueueSettings) *string { return &q.Name }).
			says("Name of the list or queue; of sqs, its URL.", "", "type: sqs\nname: https://sqs.eu-central-1.amazonaws.com/123456789012/jobs"),
		to("from", variable(), func(q *QueueSettings) *string { return &q.From }).
			says("Variable of the service that has the server's URL; of sqs, the queue's URL, instead of `name`.", "", "type: rabbitmq\nname: jobs\nfrom: AMQP_URL"),
		to("length", whole(1, maxQueueLength), func(q *QueueSettings) **int { return &q.Length }).
			says("Messages that one pod is meant to have waiting.", fmt.Sprint(DefaultQueueLength), "type: redis\nname: jobs\nfrom: REDIS_URL\nlength: 50"),
	}}
}

// scale is a value of the level scale; where off, false says that the number of
// pods is fixed.
func scale(off bool) value[*ScaleSettings] {
	l := scaleLevel()
	s := l.section()
	words := "keys"
	if off {
		words = "keys, or false"
	}
	return value[*ScaleSettings]{
		shape: shape{words: words, levels: []section{s}, schema: func(d *schema) object {
			if !off {
				return d.ref(s)
			}
			return object{"anyOf": []object{d.ref(s), {"const": false}}}
		}},
		parse: func(p *parser, e entry) *ScaleSettings {
			var settings ScaleSettings
			yes, isTruth := truth(p.follow(e.value))
			switch {
			case isTruth && !yes && off:
				settings.Off = true
			case isTruth && !yes:
				p.fail(e.value, "%s: false switches it off for one environment, below environments; here it is simply left out", e.key.Value)
				return nil
			case !readLevel(p, e, l.keys, &settings):
				return nil
			}
			return &settings
		},
	}
}

func (s ScaleSettings) with(over ScaleSettings) ScaleSettings {
	if s.Off || over.Off {
		return over
	}
	return ScaleSettings{
		Min: said(s.Min, over.Min), Max: said(s.Max, over.Max), CPU: said(s.CPU, over.CPU), Memory: said(s.Memory, over.Memory),
		Queue: QueueSettings{
			Type: said(s.Queue.Type, over.Queue.Type), Name: said(s.Queue.Name, over.Queue.Name),
			From: said(s.Queue.From, over.Queue.From), Length: said(s.Queue.Length, over.Queue.Length),
		},
	}
}

// on reports whether the number of pods follows the load.
func (s *ScaleSettings) on() bool { return s != nil && !s.Off }

// scale returns the scale with its defaults.
func (s *ScaleSettings) scale() Scale {
	if !s.on() {
		return Scale{}
	}
	all := Scale{
		Min: number(s.Min, DefaultReplicas), Max: number(s.Max, 0), CPU: number(s.CPU, 0), Memory: number(s.Memory, 0),
		Queue: Queue{Type: s.Queue.Type, Name: s.Queue.Name, From: s.Queue.From},
	}
	if s.Queue.Type != "" {
		all.Queue.Length = number(s.Queue.Length, DefaultQueueLength)
	} else if all.CPU == 0 && all.Memory == 0 {
		all.CPU = DefaultScaleCPU
	}
	return all
}

func (s *ScaleSettings) problems(t ServiceType) []problem {
	if !s.on() {
		return nil
	}
	var all []problem
	least, most := number(s.Min, DefaultReplicas), number(s.Max, 0)
	switch {
	case s.Max == nil:
		all = append(all, problem{"scale: key \"max\" is missing", []string{"scale"}, "scale/max"})
	case least > most:
		all = append(all, problem{fmt.Sprintf("scale: min is %d, more than max, which is %d", least, most), []string{"scale/min", "scale/max"}, ""})
	}
	queue := s.Queue != QueueSettings{}
	if least == 0 && (t != Worker || !queue || s.CPU != nil || s.Memory != nil) {
		all = append(all, problem{"min: 0 is only for a worker that scales by a queue alone, which wakes it", []string{"scale/min"}, ""})
	}
	if queue {
		all = append(all, s.Queue.problems()...)
	}
	return all
}

func (q QueueSettings) problems() []problem {
	at := []string{"scale/queue"}
	switch {
	case q.Type == "":
		return []problem{{"queue: key \"type\" is missing", at, "scale/queue/type"}}
	case q.Type == queueSQS && (q.Name == "") == (q.From == ""):
		return []problem{{"queue: want either name, the URL of the queue, or from, the variable that has it", at, ""}}
	case q.Type != queueSQS && q.Name == "":
		return []problem{{"queue: key \"name\" is missing", at, "scale/queue/name"}}
	case q.Type != queueSQS && q.From == "":
		return []problem{{"queue: key \"from\" is missing", at, "scale/queue/from"}}
	}
	return nil
}
