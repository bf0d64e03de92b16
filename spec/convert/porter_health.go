package convert

import "strings"

// health maps the checks of a service that keeps running. Porter's healthCheck
// is both of readinessCheck and livenessCheck.
func (p *porter) health(n *node, s *level, kind string) {
	health := &level{}
	both, ready, live, start := n.at("healthCheck"), n.at("readinessCheck"), n.at("livenessCheck"), n.at("startupCheck")
	for _, c := range []*node{both, ready, live, start} {
		c.entries() // names it if it has no keys
		if on, ok := c.at("enabled").flag(); ok && !on {
			c.leave("is switched off")
		}
		c.at("timeoutSeconds").leave("how long an answer may take is Inhaul's choice")
	}
	if isOn(both) {
		p.check(both, health, kind)
	}
	if isOn(ready) {
		p.check(ready, health, kind)
		if seconds, ok := ready.at("initialDelaySeconds").whole(); ok && seconds > 0 {
			ready.at("initialDelaySeconds").leave("a new pod is asked from its start, and gets traffic when it answers")
		}
	}
	var delays []*node
	for _, c := range []*node{both, live} {
		if !isOn(c) {
			continue
		}
		liveness := &level{}
		p.check(c, liveness, kind)
		if len(liveness.entries) > 0 {
			delays = append(delays, c.at("initialDelaySeconds"))
			health.set("liveness", liveness, c.place)
		}
	}
	if isOn(start) && len(delays) > 0 {
		delays = append(delays, start.at("initialDelaySeconds"))
	}
	p.startup(delays, health)
	for _, c := range []*node{both, live, start} {
		c.leaveAll(map[string]string{
			"httpPath":            "health.startup is how long the start may take before liveness counts",
			"command":             "health.startup is how long the start may take before liveness counts",
			"initialDelaySeconds": "delays nothing, for liveness is not asked",
		})
	}
	if len(health.entries) > 0 {
		s.set("health", health, health.entries[0].place)
	}
}

// startup maps the longest of the delays before liveness counts.
func (p *porter) startup(delays []*node, health *level) {
	longest, from := 0, (*node)(nil)
	for _, delay := range delays {
		seconds, ok := delay.whole()
		switch {
		case ok && seconds > longest:
			from.leave("another check waits longer, which counts")
			longest, from = seconds, delay
		case ok && seconds > 0:
			delay.leave("another check waits as long or longer, which counts")
		}
	}
	if longest > 0 {
		health.set("startup", duration(longest), from.place)
	}
}

// isOn reports whether a check is there and has not been named as a whole.
func isOn(c *node) bool { return c != nil && c.use == unused && c.kind == mapping }

// check maps what one check asks.
func (p *porter) check(c *node, to *level, kind string) {
	path, command := c.at("httpPath"), c.at("command")
	if kind != "web" {
		path.leave("a %s serves nothing: let a command ask", kind)
	} else if text, ok := path.string(); ok && text != "" {
		to.set("path", "/"+strings.TrimLeft(text, "/"), path.place)
		command.leave("httpPath counts")
		return
	}
	if text, ok := command.string(); ok && text != "" {
		to.set("command", text, command.place)
	}
}
