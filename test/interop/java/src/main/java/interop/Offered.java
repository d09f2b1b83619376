// Whether this Seata has what a run is about: a compressor or a serializer, by the name of its class.
package interop;

final class Offered {
    private Offered() {}

    static boolean isOffered() {
        String needed = System.getProperty("interop.needs");
        if (needed == null) {
            return true;
        }
        try {
            Class.forName(needed, false, Offered.class.getClassLoader());
            return true;
        } catch (ClassNotFoundException e) {
            return false;
        }
    }
}
