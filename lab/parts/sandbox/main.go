// Command sandbox is the one small program that every pod of the lab needs.
//
//	sandbox pause                      hold the pod's namespaces, reap orphans
//	sandbox forward LISTEN=TARGET…     carry TCP connections, as the sidecar that
//	                                   makes 127.0.0.1:PORT mean the same in a pod
//	                                   as on the host
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const dialTimeout = 5 * time.Second

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("usage: sandbox pause | sandbox forward LISTEN=TARGET…")
	}
	switch os.Args[1] {
	case "pause":
	case "forward":
		for _, arg := range os.Args[2:] {
			if err := forward(arg); err != nil {
				log.Fatal(err)
			}
		}
	default:
		log.Fatalf("sandbox: unknown command %q", os.Args[1])
	}
	wait()
}

// wait reaps children until it is told to end. The kernel gives PID 1 no
// default action for SIGTERM, so a pod would otherwise take 30 s to end.
func wait() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for s := range signals {
		if s != syscall.SIGCHLD {
			return
		}
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if pid <= 0 || err != nil {
				break
			}
		}
	}
}

func forward(arg string) error {
	listen, target, ok := strings.Cut(arg, "=")
	if !ok {
		return fmt.Errorf("sandbox forward: got %q, want LISTEN=TARGET", arg)
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("sandbox forward: %w", err)
	}
	go func() { // lives as long as the process
		for {
			client, err := l.Accept()
			if err != nil {
				log.Fatalf("sandbox forward: %v", err)
			}
			go join(client, target)
		}
	}()
	return nil
}

func join(client net.Conn, target string) {
	defer client.Close()
	server, err := net.DialTimeout("tcp", target, dialTimeout)
	if err != nil {
		log.Printf("sandbox forward: %v", err)
		return
	}
	defer server.Close()
	done := make(chan struct{})
	go func() {
		pass(server, client)
		close(done)
	}()
	pass(client, server)
	<-done
}

func pass(to, from net.Conn) {
	_, _ = io.Copy(to, from) // either side may end at any time
	if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
}
