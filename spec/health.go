package spec

import (
	"fmt"
	"time"
)

// The bounds of how long a new pod may take.
const (
	maxHealthTimeout = time.Hour
)

func healthLevel() level[Health] {
	keys := lift(checkKeys("the pod that is ready"), func(h *Health) *Check { return &h.Check })
	return level[Health]{"health", "When a new pod is ready, and when a running one is started anew. Unsaid, a web service is ready as soon as its port accepts a connection, and a worker as soon as it runs.", append(keys,
		to("timeout", durationUpTo(maxHealthTimeout), func(h *Health) *string { return &h.Timeout }).
			says("How long a new pod may take to be ready before the release has failed.", shortDuration(DefaultHealthTimeout), "timeout: 5m"),
		to("startup", durationUpTo(maxHealthTimeout), func(h *Health) *string { return &h.Startup }).
			says("How long the process may start before `liveness` counts.", "", "startup: 60s\nliveness: {path: /healthz}"),
		liveness().
			says("When a running container counts as broken.", "never", "liveness: {tcp: true}"),
	)}
}

// liveness is the key of a check that has to be one.
func liveness() key[Health] {
	l := level[Check]{"check", "A check of a running container; one that fails is started anew. One of the keys.", checkKeys("the container that works")}
	k := part("liveness", l, func(h *Health) *Check { return &h.Liveness })
	read := k.read
	k.read = func(p *parser, e entry, into *Health) {
		mistakes := len(p.errs)
		if read(p, e, into); into.Liveness.IsZero() && len(p.errs) == mistakes {
			p.fail(e.key, "liveness: want one of path, tcp and command")
		}
	}
	return k
}

func checkKeys(what string) []key[Check] {
	return []key[Check]{
		to("path", urlPath(), func(c *Check) *string { return &c.Path }).
			says("URL path that answers 200 to 399: "+what+".", "", "path: /healthz"),
		to("tcp", onlyTrue(), func(c *Check) *bool { return &c.TCP }).
			says("Whether it is enough that the port accepts a connection.", "", "tcp: true"),
		to("command", commandValue(), func(c *Check) *Command { return &c.Command }).
			says("Command in the container that ends with 0.", "", "command: [bin/ok]"),
	}
}

func urlPath() value[string] {
	return textIn("URL path", pathPattern, checkURLPath)
}

func checkURLPath(text string) (string, error) {
	if !pathShape.MatchString(text) {
		return "", fmt.Errorf("want a URL path such as /healthz, got %s", quoted(text))
	}
	return text, nil
}

// onlyTrue is a value of true; false would say nothing.
func onlyTrue() value[bool] {
	return value[bool]{
		shape: shape{words: "true", schema: func(*schema) object { return object{"const": true} }},
		parse: func(p *parser, e entry) bool {
			n, ok := p.scalar(e, "true")
			if !ok {
				return false
			}
			yes, _ := truth(n)
			if !yes {
				p.fail(e.value, "%s: want true or nothing at all, got %s", e.key.Value, quoted(n.Value))
			}
			return yes
		},
	}
}

// commandValue is a value of a command that cannot be unsaid.
func commandValue() value[Command] {
	c := command()
	return value[Command]{shape: c.shape, parse: func(p *parser, e entry) Command { return *c.parse(p, e) }}
}

// healthWith returns h with what over says differently. A check takes the place
// of another one whichever kind it is of.
func healthWith(h, over Health) Health {
	if !over.Check.IsZero() {
		h.Check = over.Check
	}
	if !over.Liveness.IsZero() {
		h.Liveness = over.Liveness
	}
	h.Timeout = said(h.Timeout, over.Timeout)
	h.Startup = said(h.Startup, over.Startup)
	return h
}

// checkHealth records what a level says of the health of a service of type t.
func (p *parser) checkHealth(at string, t ServiceType) {
	for _, at := range []string{at, below(at, "liveness")} {
		if t == Worker {
			p.failMark(below(at, "path"), "path: a worker serves nothing; type: web has a health path")
			p.failMark(below(at, "tcp"), "tcp: a worker serves nothing; type: web has a port")
			continue
		}
		first := ""
		for _, name := range []string{"path", "tcp", "command"} {
			switch path := below(at, name); {
			case p.marks[path] == nil:
			case first == "":
				first = name
			default:
				p.failMark(path, "%s: not beside %s: want one of path, tcp and command", name, first)
			}
		}
	}
}

func (h Health) clone() Health {
	h.Command, h.Liveness.Command = h.Command.clone(), h.Liveness.Command.clone()
	h.Timeout = unlessDefault(h.Timeout, DefaultHealthTimeout)
	return h
}
