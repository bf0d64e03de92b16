// Command plain is an app that knows nothing of probes, drains or Kubernetes:
// `plain` serves HTTP and dies by SIGTERM at once, `plain work SECONDS` takes
// that long to finish what it does when it is told to stop, `plain seed` has nothing to do.
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "seed" {
		return
	}
	if len(os.Args) == 3 && os.Args[1] == "work" {
		seconds, err := strconv.Atoi(os.Args[2])
		if err != nil {
			panic(err)
		}
		told := make(chan os.Signal, 1)
		signal.Notify(told, syscall.SIGTERM)
		<-told
		time.Sleep(time.Duration(seconds) * time.Second)
		fmt.Println("finished")
		return
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getenv("VERSION")) })
	panic(http.ListenAndServe(":"+os.Getenv("PORT"), nil))
}
