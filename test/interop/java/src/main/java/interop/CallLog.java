// The calls of phase two that Seata made on the TCC actions, in order; can make some of them refuse once.
package interop;

import java.util.ArrayList;
import java.util.List;

public class CallLog {
    private final List<String> calls = new ArrayList<>();
    private final List<String> refusing = new ArrayList<>();

    public synchronized void start(String... refuseOnce) {
        calls.clear();
        refusing.clear();
        refusing.addAll(List.of(refuseOnce));
    }

    /** Whether the call is to succeed. */
    public synchronized boolean add(String call) {
        boolean refused = refusing.remove(call);
        calls.add(refused ? call + " refused" : call);
        return !refused;
    }

    public synchronized List<String> calls() {
        return List.copyOf(calls);
    }
}
