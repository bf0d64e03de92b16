package agent

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/inhaul/inhaul/spec"
)

// podCause judges a pod that is not Ready by the time it had.
func (t trial) podCause(pod PodObservation) *Cause {
	if pod.Ready {
		return nil
	}
	if pod.Unschedulable != "" {
		return t.unschedulableCause(pod)
	}
	if t.waitUntil(pod.begun(t.since).Add(t.service.ReadyTimeout())) {
		return nil
	}
	var c ContainerObservation
	if len(pod.Containers) > 0 {
		c = pod.Containers[0]
	}
	if !pod.Evidence.fresh(t.now) || c.Name != "" && !pod.Evidence.Logged {
		t.verdict.ask(Question{Name: pod.Name, Container: c.Name})
	}
	return t.of(pod, c, t.notReadyCause(pod, c))
}

// notReadyCause tells as much as is known of why a pod was not ready in time.
func (t trial) notReadyCause(pod PodObservation, c ContainerObservation) *Cause {
	within := fmt.Sprintf("within %s", t.service.ReadyTimeout())
	if !c.Running && c.Ended == 0 {
		return t.notStarted(pod, c, within)
	}
	if !c.Running {
		how, next := howEnded(c)
		return t.cause(CauseNotReady, "was not ready "+within+": the container ended, with "+how+", and was not started again in that time", next)
	}
	if answer := pod.Evidence.probe(readiness, startup); answer != nil {
		return t.probeCause(*answer, pod.Evidence.log(), within)
	}
	return t.cause(CauseNotReady, "runs, but was not ready "+within,
		"check that the process listens on the port of the service (PORT) and answers the health path; a slow start gets more time with health.timeout")
}

// notStarted is the cause of a container that its node has not started: with the
// last event that says why, if there is one.
func (t trial) notStarted(pod PodObservation, c ContainerObservation, within string) *Cause {
	event := pod.Evidence.newest(func(e Event) bool { return strings.HasPrefix(e.Reason, "Failed") && e.Reason != "FailedScheduling" })
	if event != nil && missingObject.MatchString(event.Message) {
		return t.startCause(event.Message)
	}
	told := pod.Evidence.newest(func(e Event) bool { return e.Reason != "Scheduled" })
	if told == nil && c.Waiting == "" && c.Message == "" {
		return t.cause(CauseNoProgress, "its node has not begun with the container "+within+", and does not say why",
			"ask the platform owner about the node and its kubelet: kubectl get nodes, kubectl get pods -o wide")
	}
	if event == nil {
		event = told
	}
	why := orElse(c.Message, c.Waiting)
	if event != nil {
		why = event.Reason + ": " + event.Message
	}
	return t.cause(CauseNotReady, "the container was not started "+within+": "+why,
		"look at the events below: the node has not got a volume, a network or the image for the pod; a large image gets more time with health.timeout")
}

// The probes of a container, as the kubelet names them.
const (
	readiness = "Readiness"
	startup   = "Startup"
	liveness  = "Liveness"
)

// probeEvent is the kubelet's Unhealthy event; dialled is what it reached for, and
// probeURL what it asked for.
//
// https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/kubelet/prober/prober.go
var (
	probeEvent = regexp.MustCompile(`(?s)^(Readiness|Startup|Liveness) probe (?:failed|errored[^:]*): (.*)$`)
	dialled    = regexp.MustCompile(`dial tcp \S+:(\d+): `)
	probeURL   = regexp.MustCompile(`Get \\?"https?://[^/"]*?(?::(\d+))?(/[^"\\]*)\\?"`)
	statusCode = regexp.MustCompile(`statuscode: (\d+)`)
)

// probeAnswer is how a probe failed last.
type probeAnswer struct {
	probe  string
	answer string
}

// probe returns how one of probes failed last, by the kubelet's events; nil if
// they do not tell.
func (e *Evidence) probe(probes ...string) *probeAnswer {
	event := e.newest(func(e Event) bool {
		found := probeEvent.FindStringSubmatch(e.Message)
		return e.Reason == "Unhealthy" && found != nil && slices.Contains(probes, found[1])
	})
	if event == nil {
		return nil
	}
	found := probeEvent.FindStringSubmatch(event.Message)
	return &probeAnswer{probe: found[1], answer: strings.TrimSpace(found[2])}
}

// probeCause is the cause of a probe that fails for good.
func (t trial) probeCause(a probeAnswer, log, within string) *Cause {
	if says(a.answer, "connection refused") {
		return t.notListening(a, log, " (not ready "+within+")")
	}
	said, next := t.tell(a)
	return t.cause(CauseProbe, "runs, but was not ready "+within+": "+said, next)
}

// tell says what a probe asked and what it was answered, and what to do about it.
func (t trial) tell(a probeAnswer) (said, next string) {
	said = t.question(a)
	const slow = "; a slow start gets more time with health.timeout"
	status := statusCode.FindStringSubmatch(a.answer)
	switch {
	case status != nil:
		said += " is answered with " + status[1]
		switch status[1] {
		case "404":
			return said, "the program does not know this path: set the health path in inhaul.yaml to one that it answers with 200 to 399"
		case "401", "403":
			return said, "the health path has to answer without a login: open it, or set another one in inhaul.yaml"
		}
		return said, "see in the log below why it does not answer 200 to 399: it may lack a database or a setting" + slow
	case says(a.answer, "deadline exceeded", "i/o timeout", "timed out", "client.timeout"):
		return said + " gets no answer in time", "see in the log below what it waits for, or what keeps it busy: more cpu may help" + slow
	case says(a.answer, "malformed http response", "server gave http response", "connection reset", "eof"):
		return said + " gets no answer of HTTP: " + a.answer, "the port does not speak plain HTTP: let the health path be served without TLS, or ask for tcp alone"
	}
	return said + " fails: " + a.answer, "see in the log below why" + slow
}

// question is what a probe asks: "GET /healthz on port 8080".
func (t trial) question(a probeAnswer) string {
	check, port := t.asks(a)
	where := ""
	if port != 0 {
		where = fmt.Sprintf(" on port %d", port)
	}
	switch {
	case check.Path != "":
		return "GET " + check.Path + where
	case !check.Command.IsZero():
		return "the check's command"
	}
	return "a connection" + where
}

// asks is the check of a probe and the port that it goes to: by the kubelet's
// answer where that tells, and else by the service.
func (t trial) asks(a probeAnswer) (check spec.Check, port int) {
	check, port = t.service.Health.Check, t.service.Port
	if a.probe == liveness || a.probe == startup && !t.service.Health.Liveness.IsZero() {
		check = t.service.Health.Liveness
	}
	if dial := dialled.FindStringSubmatch(a.answer); dial != nil {
		port = number(dial[1], port)
	}
	if url := probeURL.FindStringSubmatch(a.answer); url != nil {
		check, port = spec.Check{Path: url[2]}, number(url[1], port)
	}
	return check, port
}

// number is the port that text is; otherwise, if it is none.
func number(text string, otherwise int) int {
	n, err := strconv.Atoi(text)
	if err != nil || n > maxPort {
		return otherwise
	}
	return n
}

// notListening is the cause of a port that refuses connections. Which one the
// program listens on instead only its log may tell: nobody looks into the pod.
//
// Of a probe that fails every second the kubelet tells the first 25 times, and
// then one in five minutes: a program that listens by now may have been refused
// only then. Had it been asked for a connection alone, it would be ready.
// https://github.com/kubernetes/client-go/blob/v0.37.2/tools/record/events_cache.go
func (t trial) notListening(a probeAnswer, log, within string) *Cause {
	check, port := t.asks(a)
	all := listenings(log)
	i := slices.IndexFunc(all, func(l listening) bool { return l.port == port })
	if i < 0 {
		i = len(all) - 1 // what it said last
	}
	message := fmt.Sprintf("nothing listens on port %d%s", port, within)
	if i < 0 {
		return t.cause(CauseNotListening, message,
			fmt.Sprintf("make the program listen on 0.0.0.0 and on the port that PORT names (%d), or set port in inhaul.yaml to the one it has; a slow start gets more time with health.timeout", port))
	}
	told := all[i]
	if told.port == port && !told.loopback && check.Path != "" {
		return t.cause(CauseProbe, fmt.Sprintf("GET %s on port %d has no good answer%s: connections were refused at first, and its log says that it listens on %s since", check.Path, port, within, told.text),
			"see in the log below what it answers now: the kubelet tells the first answers alone, of many; a slow start gets more time with health.timeout")
	}
	if told.port == port {
		message = fmt.Sprintf("port %d refuses connections%s", port, within)
	}
	message += "; its log says that it listens on " + told.text
	var next string
	switch {
	case told.port == port && told.loopback:
		next = "let the program listen on 0.0.0.0, not on " + told.host + ": nothing outside of its container reaches it there"
	case told.port == port:
		next = "it may have begun to listen too late, or on another address: let it listen on 0.0.0.0; a slow start gets more time with health.timeout"
	default:
		next = fmt.Sprintf("set port: %d in inhaul.yaml, or make the program listen on the port that PORT names (%d)", told.port, port)
		if told.loopback {
			next += "; and on 0.0.0.0, not on " + told.host + ", where nothing outside of its container reaches it"
		}
	}
	return t.cause(CauseNotListening, message, next)
}

// killedByProbe is the cause of a container that the kubelet has ended, since its
// liveness or startup probe failed; nil if the events do not say so.
func (t trial) killedByProbe(pod PodObservation, c ContainerObservation) *Cause {
	killing := pod.Evidence.newest(func(e Event) bool {
		return e.Reason == "Killing" && says(e.Message, "container "+strings.ToLower(c.Name)+" failed liveness probe", "container "+strings.ToLower(c.Name)+" failed startup probe")
	})
	if killing == nil {
		return nil
	}
	probe, check := liveness, "health.liveness"
	if says(killing.Message, "startup probe") {
		probe, check = startup, "health.startup"
	}
	message := fmt.Sprintf("the kubelet ended the container %d times, since %s fails", c.Ended, check)
	next := "see in the log below why it does not answer, or give it more time with health.startup"
	if answer := pod.Evidence.probe(probe); answer != nil {
		said, why := t.tell(*answer)
		message, next = message+": "+said, why
		if says(answer.answer, "connection refused") {
			cause := t.notListening(*answer, pod.Evidence.log(), "")
			cause.Message = t.service.Name + ": " + message
			return cause
		}
	}
	return t.cause(CauseProbe, message, next)
}
